/**
 * Fires virtual timers at their exact time, one by one. Everything that a timer starts settles before the next
 * timer is chosen.
 *
 * This rule makes a test in virtual time equivalent to one in real time. A promise chain of ten `await`s takes no
 * time, so it must finish before time moves. A timer that it sets may be the next one.
 */
import { MAX_TIMER_MS } from '../lib/units.ts'
import type { Clock } from '../scheduler/clock.ts'
import { drawn, fields, finite, text, notNumber } from './check.ts'
import { seededRandom } from '../lib/random.ts'
import { TimerHeap } from './timer-heap.ts'

/** Options of `VirtualClock`. */
export interface VirtualClockOptions {
  /**
   * The initial value of `wall()`, in epoch ms.
   * @default 2026-01-01T00:00:00Z
   */
  wall?: number
  /**
   * How late each timer fires, in ms: a number, or a function called once per timer.
   * @default 0
   */
  lateMs?: number | (() => number)
  /**
   * The seed of the random numbers that spread waits. The same seed gives the same run.
   * @default 1
   */
  seed?: number
}

/**
 * A clock that moves only on request: minutes of traffic pass in milliseconds, always in the same way.
 *
 * It is for code that reads time from a `Clock`. It patches no globals, so the network and other libraries
 * continue in real time. It starts at `now() === 0`. If a callback throws, the `advance` that fired it rejects.
 *
 * @example
 * const clock = new VirtualClock()
 * const limiter = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 60, clock })
 * const calls = Promise.all(prompts.map((prompt) => limiter.run(() => ask(prompt))))
 * await clock.advance(10_000)  // ten seconds of calls have been sent
 * await clock.runAll()         // all others have been sent
 * assert.equal(clock.pendingTimers, 0)
 */
export class VirtualClock implements Clock {
  readonly #timers = new TimerHeap()
  readonly #lateMs: () => number
  /** Numbers in [0, 1), the same in every run. */
  readonly random: () => number
  #now = 0
  #wallAtZero: number
  #moving = false

  constructor(options: VirtualClockOptions = {}) {
    fields(options, 'VirtualClock', ['wall', 'lateMs', 'seed'])
    const { wall = Date.UTC(2026, 0, 1), lateMs = 0, seed = 1 } = options
    this.random = seededRandom(finite(seed, 'seed'))
    this.#wallAtZero = finite(wall, 'wall')
    this.#lateMs = drawn(lateMs, 'lateMs')
  }

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#wallAtZero + this.#now
  }

  setTimer(fn: () => void, ms: number): () => void {
    // Infinity is allowed, as on the real clock, where it means the longest possible timer.
    if (Number.isNaN(ms)) throw new TypeError('ms of a timer must be a number, got NaN')
    const lateMs = Math.max(0, finite(this.#lateMs(), 'lateMs'))
    const timer = this.#timers.add(this.#now + Math.min(Math.max(ms, 0), MAX_TIMER_MS) + lateMs, fn)
    return () => this.#timers.remove(timer)
  }

  /**
   * Timers that were set and have neither fired nor been cancelled: 0 for an idle limiter, 1 for one with a queue.
   */
  get pendingTimers(): number {
    return this.#timers.size
  }

  /** Resolves after `ms` of virtual time. The clock must be moved in the meantime. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.setTimer(resolve, ms))
  }

  /**
   * Lets `ms` pass and fires what falls due. `advance(0)` lets promises settle and fires what is due now.
   *
   * Rejects with a `RangeError` if `ms` is negative or not finite, and with an `Error` if the clock is already
   * being moved, because the order of events would then be random.
   */
  advance(ms: number): Promise<void> {
    return this.advanceTo(this.#now + ms)
  }

  /** Lets time pass until `now()` is `t`. Rejects as `advance` does. */
  async advanceTo(t: number): Promise<void> {
    if (!(t >= this.#now && t < Infinity)) {
      throw new RangeError(`time goes forward only: it is ${this.#now} ms and cannot become ${t} ms`)
    }
    await this.#move(t)
    this.#now = t
  }

  /**
   * Fires timers until none is left, or none is due by `untilMs` (a value of `now()`, not a duration). The time
   * stays at the last timer that fired.
   *
   * Set `untilMs` if a fault could set a timer again and again. Rejects as `advance` does.
   */
  runAll(options: { untilMs?: number } = {}): Promise<void> {
    fields(options, 'runAll', ['untilMs'])
    const { untilMs = Infinity } = options
    if (typeof untilMs !== 'number' || Number.isNaN(untilMs))
      throw new TypeError(`untilMs must be a moment of now(), in ms, got ${notNumber(untilMs)}`)
    return this.#move(untilMs)
  }

  /** Simulates setting the system clock: `wall()` is `epochMs` from now on. Timers and `now()` are not affected. */
  setWall(epochMs: number): void {
    this.#wallAtZero = finite(epochMs, 'epochMs') - this.#now
  }

  /**
   * Simulates a suspended machine: `wall()` advances by `ms`. Timers and `now()` stand still, as on most machines.
   */
  suspend(ms: number): void {
    if (!(finite(ms, 'ms') >= 0)) throw new TypeError(`ms must be at least 0, got ${text(ms)}`)
    this.shiftWall(ms)
  }

  /** Simulates moving the system clock by `ms`, forward or, if negative, back. */
  shiftWall(ms: number): void {
    this.#wallAtZero += finite(ms, 'ms')
  }

  async #move(untilMs: number): Promise<void> {
    if (this.#moving) throw new Error('the clock is already moving: await the advance() or runAll() before')
    this.#moving = true
    try {
      await settle()
      for (let next = this.#timers.first(); next && next.at <= untilMs; next = this.#timers.first()) {
        this.#timers.remove(next)
        this.#now = next.at
        next.fn()
        await settle()
      }
    } finally {
      this.#moving = false
    }
  }
}

/**
 * Resolves once no microtask is left, however long the promise chains are, because a macrotask starts only then.
 *
 * `setImmediate` takes about 1 µs, a `MessageChannel` 10 µs, and `setTimeout` 1–4 ms in browsers.
 */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve)
    else if (typeof MessageChannel === 'function') settleByMessage(resolve)
    else setTimeout(resolve, 0)
  })
}

function settleByMessage(resolve: () => void): void {
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => {
    // An open port would keep a Node process alive.
    port1.close()
    resolve()
  }
  port2.postMessage(undefined)
}
