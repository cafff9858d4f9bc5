// What may happen to a call while it stands in line: its signal aborts, its longest wait is over, it is stuck.

import { LimiterStoppedError, QueueFullError, WaitTimeoutError } from './errors.ts'
import { watch } from '../lib/abort.ts'
import type { Waiter } from './pending-call.ts'

const STUCK_MS = 300_000
const STUCK_REFUSALS = 10

/** Begins to watch what may end this wait, which may have ended already. */
export function attend(waiter: Waiter, now: number): void {
  const { desk, signal, maxWaitMs } = waiter.terms
  if (desk.options.queue?.max === 0 && waiter.state === 'waiting') {
    desk.giveUp(waiter, new QueueFullError(`'${desk.name}': no ticket is free and queue.max is 0`))
  } else if (signal?.aborted) desk.giveUp(waiter, signal.reason)
  else if (maxWaitMs <= (waiter.extra?.waitedMs ?? 0)) tooLong(waiter)
  else {
    if (signal) waiter.more().unwatch = watch(signal, () => desk.giveUp(waiter, signal.reason))
    if (maxWaitMs < Infinity) {
      const extra = waiter.more()
      extra.deadline = desk.engine.at(now + maxWaitMs - extra.waitedMs, () => tooLong(waiter), false)
    }
  }
}

/** A call is back in line, unless what it comes back to has ended meanwhile. */
export function comeBack(waiter: Waiter, now: number): void {
  const { desk } = waiter.terms
  const { stopped } = desk
  const spent = desk.chain.find(({ office }) => office.spent(now))?.spent
  if (stopped) desk.giveUp(waiter, new LimiterStoppedError(stopped.message, waiter.extra?.lastRefusal))
  else if (spent) desk.giveUp(waiter, spent)
  else attend(waiter, now)
}

export function unattend({ terms, extra }: Waiter): void {
  if (!extra) return
  extra.unwatch?.()
  extra.unwatch = undefined
  for (const key of ['deadline', 'backoff', 'stuck'] as const) {
    const appointment = extra[key]
    if (appointment) terms.desk.engine.forget(appointment)
    extra[key] = undefined
  }
}

/** Tells when a call has been refused again and again, or for long. */
export function watchStuck(waiter: Waiter, reason: string, now: number): void {
  const { desk } = waiter.terms
  const extra = waiter.more()
  const tell = () => {
    const parkedMs = desk.engine.now() - extra.firstParkedAt!
    desk.events.emit('stuck', { refusals: extra.refusals, parkedMs, reason })
  }
  if (extra.refusals % STUCK_REFUSALS === 0) tell()
  const at = extra.firstParkedAt! + STUCK_MS
  if (at > now) extra.stuck = desk.engine.at(at, tell, false)
}

function tooLong(waiter: Waiter): void {
  const { desk, maxWaitMs } = waiter.terms
  const message = `'${desk.name}': no ticket within maxWaitMs (${maxWaitMs} ms), ${desk.office.waiting} calls wait`
  desk.giveUp(waiter, new WaitTimeoutError(message, waiter.extra?.lastRefusal))
}
