// The scheduler for runtimes in which timers and promises belong to a request (Cloudflare's workerd).
//
// There, code of a request that ended, or whose client left, never runs again: its timers do not fire, its awaits
// do not continue, and its `finally` blocks do not run. A shared timer would stop with the request that set it,
// and a ticket issued to a dead request would be lost. So tickets are not handed out: each waiting call wakes by
// its own timer and takes its ticket when it is its turn. Each call publishes when its next heartbeat is due. A
// call that is more than 50 ms late may be passed by the calls behind it, and keeps its place if it returns. A
// call in flight without a heartbeat for a second has ended. A call that itself wakes late does not judge others,
// since all calls were probably delayed alike.

import { type ScheduledCall, type ScheduledTask, Scheduler } from './scheduler.ts'

const LATE_MS = 50
const DEAD_MS = 1000
/** The heartbeat of a call in flight, and of a call far back in the queue. */
const BEAT_MS = 250
/** The heartbeat of the calls that may be next. */
const NEAR_MS = 25

interface Pulse {
  /** When the call's own timer will fire next. */
  due: number
  /** Passed over: out of the queue until its next heartbeat. */
  away: boolean
  /** Counts the sleeps: only the timer of the last sleep may wake the call. */
  nap: number
}

/** Whether this is Cloudflare's workerd, in production or in miniflare. */
export function timersBelongToRequests(): boolean {
  const { navigator } = globalThis as { navigator?: { userAgent?: string } }
  return navigator?.userAgent === 'Cloudflare-Workers'
}

export class WorkerdScheduler<C extends ScheduledCall<C>> extends Scheduler<C> {
  readonly #pulses = new Map<C, Pulse>()
  #swept = 0

  override pump(now: number): void {
    // Updates the gate. Calls take their tickets themselves.
    this.root.candidate(now)
    this.root.tell()
  }

  override join(pending: C, now: number): void {
    this.#sweep(now)
    pending.issuer.enqueue(pending, now)
    this.#take(pending, now)
    this.root.tell()
  }

  override ticket(pending: C): Promise<C> {
    return new Promise((grant) => {
      pending.grant = grant
      this.#sleep(pending)
    })
  }

  /**
   * Does nothing: calls wake by their own timers, because the promise of another request must not be resolved from
   * here.
   */
  override wake(_call: C): void {}

  override at(when: number, keep: () => void, awaited: boolean): ScheduledTask {
    const ring = () => {
      if (task.at < 0) return
      task.at = -1
      try {
        keep()
      } catch (error) {
        this.host.failed(error)
      }
    }
    const cancel = this.clock.setTimer(ring, Math.max(0, when - this.now()), awaited)
    const task = { at: 0, when, keep, awaited, cancel }
    return task
  }

  override forget(task: ScheduledTask): void {
    // A timer cannot be cancelled from another request, so `at` marks that the task is over.
    task.at = -1
    task.cancel?.()
  }

  #sleep(pending: C): void {
    const now = this.now()
    const inFlight = pending.state === 'in flight'
    const ms = inFlight ? BEAT_MS : this.#untilNext(pending, now)
    const pulse = this.#pulses.get(pending) ?? { due: 0, away: false, nap: 0 }
    this.#pulses.set(pending, pulse)
    pulse.due = now + ms
    const nap = ++pulse.nap
    const ring = () => {
      if (pulse.nap === nap) this.#rouse(pending)
    }
    this.clock.setTimer(ring, ms, !inFlight)
  }

  /** How long a waiting call may sleep: the first until its ticket may be due, later ones longer in a long queue. */
  #untilNext(pending: C, now: number): number {
    const { wakeAt, waiting } = this.root
    if (pending.issuer.line.first === pending) return Math.min(Math.max(1, wakeAt - now), NEAR_MS)
    return Math.min(Math.max(NEAR_MS, 5 * waiting), BEAT_MS)
  }

  /** Handles a call's own timer. */
  #rouse(pending: C): void {
    const pulse = this.#pulses.get(pending)
    if (!pulse) return
    try {
      const now = this.now()
      const punctual = now <= pulse.due + LATE_MS
      pulse.due = now
      if (pulse.away) {
        pulse.away = false
        pending.issuer.enqueue(pending, now)
      }
      if (punctual) this.#sweep(now)
      if (pending.queue) this.#take(pending, now, punctual)
      this.root.tell()
    } catch (error) {
      this.host.failed(error)
    }
    // A call parked outside the queue waits for its retry, and only its own timer may wake it.
    if (pending.queue || pending.state === 'parked') this.#sleep(pending)
    else if (pending.state === 'done') {
      this.#pulses.delete(pending)
      if (pending.failure) pending.grant?.(pending)
    } else if (pending.state === 'in flight') {
      pending.grant?.(pending)
      pending.grant = undefined
      this.#sleep(pending)
    }
  }

  /** The call takes its ticket if all calls ahead of it are late. */
  #take(pending: C, now: number, punctual = true): void {
    for (let next = this.root.candidate(now); next; next = this.root.candidate(now)) {
      if (next === pending) {
        this.root.next(now)
        this.host.issue(pending, now)
        // A call that never waited has no heartbeat yet.
        if (!this.#pulses.has(pending)) this.#sleep(pending)
        return
      }
      const pulse = this.#pulses.get(next as C)
      if (!punctual || !pulse || now <= pulse.due + LATE_MS) return
      pulse.away = true
      next.issuer.setAside(next, now)
    }
  }

  /** Calls in flight without a heartbeat have ended. */
  #sweep(now: number): void {
    if (now < this.#swept + BEAT_MS) return
    this.#swept = now
    for (const [call, { due, away }] of this.#pulses) {
      if (now <= due + DEAD_MS) continue
      if (call.state === 'in flight') this.host.abandon(call)
      else if (call.queue) {
        call.issuer.setAside(call, now)
        this.#pulses.get(call)!.away = true
      }
      if (call.state === 'done' || (away && now > due + 60 * DEAD_MS)) this.#pulses.delete(call)
    }
  }
}
