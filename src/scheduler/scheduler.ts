// Provides time to the pure core: one clock and at most one timer for a whole tree of limiters.
//
// The timer is set only while a call waits or a task is due. What may happen later without an event (a wait that
// ends, a retry, a timeout) is a task in a heap, so a million tasks still need only one timer.

import { MAX_TIMER_MS } from '../lib/units.ts'
import type { Clock } from './clock.ts'
import { Heap, type HeapItem } from '../lib/heap.ts'
import type { TicketIssuer } from '../core/ticket-issuer.ts'
import type { Call } from '../core/call.ts'
import type { WallTime } from '../core/limit/sliding-window.ts'

/** How long to wait before reading a clock again after it threw. */
const ASK_AGAIN_MS = 1000

export interface ScheduledTask extends HeapItem {
  readonly when: number
  readonly keep: () => void
  /** Whether a caller waits for it, so that the process must stay alive. */
  readonly awaited: boolean
  /** Cancels its own timer, if it has one. */
  cancel?: () => void
}

/** A call that can be woken. */
export interface ScheduledCall<C> extends Call<TicketIssuer> {
  grant: ((call: C) => void) | undefined
  /** The error if it was woken but must not go. */
  readonly failure: { error: unknown } | undefined
}

/** The scheduler reports to this. */
export interface SchedulerHost<C> {
  /** A ticket is available for this call. */
  issue(call: C, now: number): void
  /** A call in flight will never end by itself. */
  abandon(call: C): void
  failed(error: unknown): void
  /** All tickets that are due have been issued. */
  settled(now: number): void
}

// Shared by all promises: a closure for each would add a fifth to the cost of creating a waiting call.
let resolve: (call: never) => void
const keepResolve = (fn: typeof resolve): void => {
  resolve = fn
}

export class Scheduler<C extends ScheduledCall<C>> {
  readonly clock: Clock
  readonly wall: WallTime
  root!: TicketIssuer
  protected readonly host: SchedulerHost<C>
  readonly #agenda = new Heap<ScheduledTask>((a, b) => a.when < b.when)
  #awaited = 0
  /** The latest time of the clock. A clock may start below zero. */
  #now: number | undefined
  #timerAt = Infinity
  #timerKeeps = false
  #cancel: (() => void) | undefined

  constructor(clock: Clock, host: SchedulerHost<C>) {
    this.clock = clock
    this.host = host
    const now = () => this.#now ?? 0
    this.wall = {
      get offsetMs() {
        return clock.wall() - now()
      },
    }
  }

  /** Monotonic whatever the clock does: if the clock goes back or returns NaN, the time stays the same. */
  now(): number {
    const now = this.clock.now()
    if (this.#now === undefined ? Number.isFinite(now) : now > this.#now) this.#now = now
    return this.#now ?? 0
  }

  /** Issues all tickets that are due, then sets the timer. */
  pump(now: number): void {
    const { root } = this
    for (let call = root.next(now); call; call = root.next(now)) {
      root.tell()
      this.host.issue(call as C, now)
    }
    root.tell()
    this.host.settled(now)
    this.#arm(now)
  }

  /** Adds a call. It may already have its ticket on return. */
  join(call: C, now: number): void {
    if (call.issuer.pass(call, now)) {
      this.root.tell()
      this.host.issue(call, now)
      return
    }
    call.issuer.enqueue(call, now)
    this.pump(now)
  }

  /** Resolves with the call itself when it has its ticket, or must not get one (`failure`). */
  ticket(pending: C): Promise<C> {
    const promise = new Promise<C>(keepResolve)
    pending.grant = resolve as (call: C) => void
    return promise
  }

  /** Ends the wait of a call. */
  wake(pending: C): void {
    pending.grant?.(pending)
  }

  /** Runs a task at a later time. Cancel it with `forget`. */
  at(when: number, keep: () => void, awaited: boolean): ScheduledTask {
    const task = { at: -1, when, keep, awaited }
    this.#agenda.push(task)
    if (awaited) this.#awaited++
    if (when < this.#timerAt || awaited > this.#timerKeeps) this.#arm(this.#now ?? 0)
    return task
  }

  forget(task: ScheduledTask): void {
    if (task.at < 0) return
    this.#agenda.remove(task)
    if (task.awaited) this.#awaited--
    if (task.awaited || this.#agenda.size === 0) this.#arm(this.#now ?? 0)
  }

  #arm(now: number): void {
    const { root } = this
    const keeps = root.waiting > 0 || this.#awaited > 0
    const next = Math.min(root.waiting > 0 ? root.wakeAt : Infinity, this.#agenda.first?.when ?? Infinity)
    if (next === Infinity && !keeps) {
      this.#disarm()
      return
    }
    // If the timer fires early, it only checks again. That is cheaper than setting another one.
    if (this.#cancel && this.#timerAt <= next && this.#timerKeeps === keeps) return
    this.#disarm()
    this.#timerAt = Math.max(now, Math.min(next, now + MAX_TIMER_MS))
    this.#timerKeeps = keeps
    this.#cancel = this.clock.setTimer(this.#ring, this.#timerAt - now, keeps)
  }

  #disarm(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#timerAt = Infinity
  }

  readonly #ring = (): void => {
    this.#cancel = undefined
    this.#timerAt = Infinity
    try {
      const now = this.now()
      for (let due = this.#agenda.first; due && due.when <= now; due = this.#agenda.first) {
        this.forget(due)
        due.keep()
      }
      this.pump(now)
    } catch (error) {
      this.host.failed(error)
      this.#timerAt = (this.#now ?? 0) + ASK_AGAIN_MS
      this.#cancel = this.clock.setTimer(this.#ring, ASK_AGAIN_MS, true)
    }
  }
}
