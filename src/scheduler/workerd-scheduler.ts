// The engine for runtimes in which timers and promises belong to a request (Cloudflare's workerd).
//
// There a request that has ended, or whose client has left, never runs again: its timers do not fire, what it
// awaits does not continue, and its `finally` never runs. A shared timer would die with the request that armed
// it, and a ticket handed to the dead would be lost. So nobody is handed anything: every waiter wakes itself, by
// a timer of its own, and takes its ticket in its own turn. Each call says when it will next be heard of. Who is
// late for that (50 ms) may be passed by those behind and keeps the place if it comes back; a call in flight that
// is silent for a second has ended. Who wakes late itself judges nobody: then all were held up alike.

import type { Call } from '../core/call.ts'
import { type Appointment, Engine } from './scheduler.ts'
import type { Waiter } from '../call/pending-call.ts'

const LATE_MS = 50
const DEAD_MS = 1000
/** How often a call in flight is heard of, and one in a long line. */
const BEAT_MS = 250
/** How often those are heard of that may be next. */
const NEAR_MS = 25

interface Pulse {
  /** When the call's own timer will next fire. */
  due: number
  /** Passed over: out of the line until it is heard of again. */
  away: boolean
  /** Counts the naps: only the timer of the last one wakes. */
  nap: number
}

/** True in Cloudflare's workerd, in production and in miniflare. */
export function timersBelongToRequests(): boolean {
  const { navigator } = globalThis as { navigator?: { userAgent?: string } }
  return navigator?.userAgent === 'Cloudflare-Workers'
}

export class PullEngine extends Engine {
  readonly #pulses = new Map<Call, Pulse>()
  #swept = 0

  override pump(now: number): void {
    // Moves the gate on; tickets are taken by their owners.
    this.root.candidate(now)
    this.tell()
  }

  override join(waiter: Waiter, now: number): void {
    this.#sweep(now)
    this.#take(waiter, now)
    this.tell()
  }

  override ticket(waiter: Waiter): Promise<Waiter> {
    return new Promise((grant) => {
      waiter.grant = grant
      this.#sleep(waiter)
    })
  }

  /** Woken by its own timer only: another request's promise must not be resolved from here. */
  override wake(_waiter: Waiter): void {}

  override at(when: number, keep: () => void, awaited: boolean): Appointment {
    const ring = () => {
      if (appointment.at < 0) return
      appointment.at = -1
      try {
        keep()
      } catch (error) {
        this.host.failed(error)
      }
    }
    const cancel = this.clock.setTimer(ring, Math.max(0, when - this.now()), awaited)
    const appointment = { at: 0, when, keep, awaited, cancel }
    return appointment
  }

  override forget(appointment: Appointment): void {
    // Without effect from another request: so `at` marks that it is over.
    appointment.at = -1
    appointment.cancel?.()
  }

  #sleep(waiter: Waiter): void {
    const now = this.now()
    const inFlight = waiter.state === 'in flight'
    const ms = inFlight ? BEAT_MS : this.#untilNext(waiter, now)
    const pulse = this.#pulses.get(waiter) ?? { due: 0, away: false, nap: 0 }
    this.#pulses.set(waiter, pulse)
    pulse.due = now + ms
    const nap = ++pulse.nap
    const ring = () => {
      if (pulse.nap === nap) this.#rouse(waiter)
    }
    this.clock.setTimer(ring, ms, !inFlight)
  }

  /** How long one in line may sleep: the first until its ticket may be due, the others longer in a long line. */
  #untilNext(waiter: Waiter, now: number): number {
    const { wakeAt, waiting } = this.root
    if (waiter.office.line.first === waiter) return Math.min(Math.max(1, wakeAt - now), NEAR_MS)
    return Math.min(Math.max(NEAR_MS, 5 * waiting), BEAT_MS)
  }

  /** A call's own timer. */
  #rouse(waiter: Waiter): void {
    const pulse = this.#pulses.get(waiter)
    if (!pulse) return
    try {
      const now = this.now()
      const punctual = now <= pulse.due + LATE_MS
      pulse.due = now
      if (pulse.away) {
        pulse.away = false
        waiter.office.enqueue(waiter, now)
      }
      if (punctual) this.#sweep(now)
      if (waiter.queue) this.#take(waiter, now, punctual)
      this.tell()
    } catch (error) {
      this.host.failed(error)
    }
    if (waiter.queue) this.#sleep(waiter)
    else if (waiter.state === 'done') {
      this.#pulses.delete(waiter)
      if (waiter.extra?.failure) waiter.grant?.(waiter)
    } else if (waiter.state === 'in flight') {
      waiter.grant?.(waiter)
      waiter.grant = undefined
      this.#sleep(waiter)
    }
  }

  /** The waiter takes its ticket, if all before it are late. */
  #take(waiter: Waiter, now: number, punctual = true): void {
    for (let next = this.root.candidate(now); next; next = this.root.candidate(now)) {
      if (next === waiter) {
        this.root.next(now)
        this.host.issue(waiter, now)
        // A call that never waited has no beat yet.
        if (!this.#pulses.has(waiter)) this.#sleep(waiter)
        return
      }
      const pulse = this.#pulses.get(next)
      if (!punctual || !pulse || now <= pulse.due + LATE_MS) return
      pulse.away = true
      next.office.setAside(next, now)
    }
  }

  /** Calls in flight that are not heard of any more have ended. */
  #sweep(now: number): void {
    if (now < this.#swept + BEAT_MS) return
    this.#swept = now
    for (const [call, { due, away }] of this.#pulses) {
      if (now <= due + DEAD_MS) continue
      if (call.state === 'in flight') (call as Waiter).terms.desk.finish(call as Waiter, undefined, 'lost')
      else if (call.queue) {
        call.office.setAside(call, now)
        this.#pulses.get(call)!.away = true
      }
      if (call.state === 'done' || (away && now > due + 60 * DEAD_MS)) this.#pulses.delete(call)
    }
  }
}
