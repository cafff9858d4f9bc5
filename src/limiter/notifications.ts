// Turns the issuer's decisions into events, informs the store, and calls the user's probe.

import { keyOf } from '../core/limit/limit-set.ts'
import type { Decision } from '../core/ticket-issuer.ts'
import { gateOf } from '../core/inspect.ts'
import type { CallContext } from '../call/pending-call.ts'
import type { LimiterEmitter } from './events.ts'
import type { SharedSlots } from './store.ts'
import type { ScheduledTask } from '../scheduler/scheduler.ts'

const PROBE_TIMEOUT_MS = 10_000

/** What notifications need from the limiter. */
export interface Notifier extends CallContext {
  readonly events: LimiterEmitter
  readonly shared: { readonly slots: SharedSlots } | undefined
  /** Asks whether the provider accepts calls again. */
  readonly probe: ((signal: AbortSignal) => boolean | Promise<boolean>) | undefined
  recall(now: number): void
}

type Tell = { [D in Decision as D['of']]: (runtime: Notifier, decision: D) => void }

const TELL: Tell = {
  learn({ shared, scheduler, events }, { limit, perMinute }) {
    shared?.slots.learned(scheduler.now())
    if (events.heard.has('learn')) events.emit('learn', { of: limit, perMinute })
  },
  quota({ events }, { limit: { of, said }, waitMs }) {
    if (events.heard.has('quota')) events.emit('quota', { of, ...said, waitMs })
  },
  depleted({ events }, { limit: { of } }) {
    if (events.heard.has('depleted')) events.emit('depleted', { of })
  },
  probe: (runtime) => void ask(runtime),
  gate(runtime) {
    const { issuer, scheduler, events, shared } = runtime
    if (issuer.recovery.gate.state === 'closed') runtime.recall(scheduler.now())
    const blamed = [...issuer.blamed].map(({ limit }) => keyOf(limit))
    shared?.slots.gate(issuer.recovery.gate, { ...issuer.recovery.closing, blamed }, scheduler.now())
    if (!events.heard.has('gate')) return
    const { state, reopensInMs } = gateOf(issuer, scheduler.now())
    events.emit('gate', { state, ...(reopensInMs !== undefined && { reopensInMs }) })
  },
}

export function announce(runtime: Notifier, decision: Decision): void {
  TELL[decision.of](runtime, decision as never)
}

/** Calls the user's probe. If it throws or hangs, the gate stays closed until the next attempt. */
async function ask(runtime: Notifier): Promise<void> {
  const { scheduler, issuer, probe } = runtime
  const hung = new AbortController()
  let late: ScheduledTask | undefined
  let open = false
  try {
    const gaveUp = new Promise<false>((resolve) => {
      late = scheduler.at(scheduler.now() + PROBE_TIMEOUT_MS, () => resolve(false), true)
    })
    open = (await Promise.race([probe!(hung.signal), gaveUp])) === true
  } catch (error) {
    runtime.failed(error, 'probe')
  }
  hung.abort()
  if (late) scheduler.forget(late)
  const now = scheduler.now()
  issuer.asked(!open, now)
  scheduler.pump(now)
}
