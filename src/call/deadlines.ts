// What can end a call's wait: its signal aborts or its `maxWaitMs` passes. Also reports calls that are stuck.

import { LimiterStoppedError, QueueFullError, WaitTimeoutError } from './errors.ts'
import { waitLeft } from '../core/inspect.ts'
import { watch } from '../lib/abort.ts'
import type { PendingCall } from './pending-call.ts'

/** What a call can wait for besides a limit. */
const WORDS: Readonly<Record<string, string>> = {
  gate: 'the provider to accept calls again',
  concurrency: 'a call in flight to end',
  pause: 'resume()',
  retry: 'its next try',
  store: 'a slot from the store that processes share',
}

const spelled = (ms: number) => (ms === Infinity ? 'without an end' : `about ${ms} ms more`)

const STUCK_MS = 300_000
const STUCK_REFUSALS = 10

/** Starts to watch for what can end this wait. It may have ended already. */
export function attend(call: PendingCall, now: number): void {
  const { runtime, signal, maxWaitMs } = call.policy
  if (runtime.options.queue?.max === 0 && call.state === 'waiting') {
    runtime.giveUp(call, new QueueFullError(`'${runtime.name}': no ticket is free and queue.max is 0`))
  } else if (signal?.aborted) runtime.giveUp(call, signal.reason)
  else if (maxWaitMs <= (call.waitState?.waitedMs ?? 0)) tooLong(call)
  else {
    if (signal) call.more().unwatch = watch(signal, () => runtime.giveUp(call, signal.reason))
    if (maxWaitMs < Infinity) {
      const waitState = call.more()
      waitState.deadline = runtime.scheduler.at(
        now + maxWaitMs - waitState.waitedMs,
        () => tooLong(call),
        false,
      )
    }
  }
}

/** Puts a call back into the queue, unless its limiter was stopped or its signal was aborted in the meantime. */
export function comeBack(call: PendingCall, now: number): void {
  const { runtime } = call.policy
  const { stopped } = runtime
  const spent = runtime.chain.find(({ issuer }) => issuer.spent(now))?.spent
  if (stopped) runtime.giveUp(call, new LimiterStoppedError(stopped.message, call.waitState?.lastRefusal))
  else if (spent) runtime.giveUp(call, spent)
  else attend(call, now)
}

export function unattend({ policy, waitState }: PendingCall): void {
  if (!waitState) return
  waitState.unwatch?.()
  waitState.unwatch = undefined
  for (const key of ['deadline', 'backoff', 'stuck'] as const) {
    const task = waitState[key]
    if (task) policy.runtime.scheduler.forget(task)
    waitState[key] = undefined
  }
}

/** Emits `stuck` when a call has been refused many times or has been parked for long. */
export function watchStuck(call: PendingCall, reason: string, now: number): void {
  const { runtime } = call.policy
  const waitState = call.more()
  const tell = () => {
    const parkedMs = runtime.scheduler.now() - waitState.firstParkedAt!
    runtime.events.emit('stuck', { ...call.named, refusals: waitState.refusals, parkedMs, reason })
  }
  if (waitState.refusals % STUCK_REFUSALS === 0) tell()
  const at = waitState.firstParkedAt! + STUCK_MS
  if (at > now) waitState.stuck = runtime.scheduler.at(at, tell, false)
}

function tooLong(call: PendingCall): void {
  const { waitState, policy } = call
  const { runtime, maxWaitMs } = policy
  const { issuer, scheduler, name } = runtime
  const now = scheduler.now()
  const retriesAt = waitState?.backoff?.when
  const on = retriesAt === undefined ? runtime.waitingOn(now) : 'retry'
  const leftMs = Math.ceil(retriesAt === undefined ? waitLeft(call, now) : Math.max(0, retriesAt - now))
  const told = [
    `'${name}': no ticket within maxWaitMs (${maxWaitMs} ms), ${issuer.waiting} calls wait`,
    ...(on
      ? [`it waited for ${WORDS[on] ?? `the limit of ${on}`}, and would have waited ${spelled(leftMs)}`]
      : []),
    ...(waitState?.lastReason ? [`the last answer was: ${waitState.lastReason}`] : []),
  ]
  const error = new WaitTimeoutError(told.join('; '), waitState?.lastRefusal)
  runtime.giveUp(call, Object.assign(error, { ...(on && { waitingOn: on }), leftMs }))
}
