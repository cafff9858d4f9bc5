// What the office has decided becomes events, and so does what calls go through; a probe that is wanted is asked.

import { keyOf } from '../core/limit/limit-set.ts'
import type { Notice } from '../core/messages.ts'
import { gateOf } from '../core/inspect.ts'
import type { Desk } from './runtime.ts'
import type { Appointment } from '../scheduler/scheduler.ts'
import type { Refusal } from '../responses/verdict.ts'
import type { Waiter } from '../call/pending-call.ts'

const PROBE_TIMEOUT_MS = 10_000

export function announce(notice: Notice): void {
  const desk = notice.office.owner as Desk
  const { shared } = desk
  if (notice.of === 'learn') {
    shared?.slots.learned(desk.engine.now())
    desk.events.emit('learn', { of: notice.limit, perMinute: notice.perMinute })
  } else if (notice.of === 'probe') {
    if (shared) shared.slots.claim()
    else void ask(desk)
  } else {
    const { office, engine } = desk
    const blamed = () => [...office.blamed].map(({ limit }) => keyOf(limit))
    shared?.slots.gate(office.recovery.gate, blamed(), engine.now())
    const { state, reopensInMs } = gateOf(notice.office, desk.engine.now())
    desk.events.emit('gate', { state, ...(reopensInMs !== undefined && { reopensInMs }) })
  }
}

/** A call has its ticket. */
export function tellIssue({ tally, events }: Desk, waitedMs: number): void {
  tally.waited(waitedMs)
  if (events.heard('issue')) events.emit('issue', { waitedMs: Math.max(0, waitedMs) })
}

/** The provider has refused a call. */
export function tellRefusal({ tally, events }: Desk, verdict: Refusal, error: unknown): void {
  tally.refused++
  if (events.heard('refuse')) events.emit('refuse', { verdict, error })
}

/** A call is over. */
export function tellFinish(desk: Desk, { sentAt, extra }: Waiter, ok: boolean, now: number): void {
  desk.tally.finished++
  if (!ok) desk.tally.failed++
  const ms = now - sentAt!
  if (ok && !extra?.answered) for (const monitor of desk.monitors) monitor.sample('duration', ms, now)
  if (desk.events.heard('finish')) desk.events.emit('finish', { ok, ms })
}

/** Asks the user's own probe. One that throws or hangs means "still blocked", never "for ever". */
export async function ask(desk: Desk): Promise<void> {
  const { engine, office, probe } = desk
  const hung = new AbortController()
  let late: Appointment | undefined
  let open = false
  try {
    const gaveUp = new Promise<false>((resolve) => {
      late = engine.at(engine.now() + PROBE_TIMEOUT_MS, () => resolve(false), true)
    })
    open = (await Promise.race([probe!(hung.signal), gaveUp])) === true
  } catch (error) {
    desk.failed(error, 'probe')
  }
  hung.abort()
  if (late) engine.forget(late)
  const now = engine.now()
  office.asked(!open, now)
  engine.pump(now)
}
