/**
 * Decides when virtual timers fire: at their exact moment, one by one, with everything that a timer set in
 * motion settled before the next one is looked at.
 *
 * That last rule is what makes a test in virtual time mean the same as one in real time. A promise chain of ten
 * `await`s takes no time, so it must be over before time moves; and a timer that it arms may be the next one.
 */
import { MAX_TIMER_MS } from '../lib/units.ts'
import type { Clock } from '../scheduler/clock.ts'
import { drawn, fields, finite, text, notNumber } from './check.ts'
import { seededRandom } from '../lib/random.ts'
import { TimerHeap } from './timer-heap.ts'

/** Options of `VirtualClock`. */
export interface VirtualClockOptions {
  /**
   * What `wall()` says at the start, in epoch ms.
   * @default 2026-01-01T00:00:00Z
   */
  wall?: number
  /**
   * How late each timer fires, in ms: a number, or a function asked once for each timer.
   * @default 0
   */
  lateMs?: number | (() => number)
  /**
   * Seed of the numbers that spread waits: the same seed, the same run.
   * @default 1
   */
  seed?: number
}

/**
 * A clock that moves only when told to: minutes of traffic pass in milliseconds, always in the same way.
 *
 * It is for code that takes its time from a `Clock`; it patches no globals, so the network and other libraries
 * go on in real time. It starts at `now() === 0`. A callback that throws rejects the `advance` that fired it.
 *
 * @example
 * const clock = new VirtualClock()
 * const limiter = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 60, clock })
 * const calls = Promise.all(prompts.map((prompt) => limiter.run(() => ask(prompt))))
 * await clock.advance(10_000)  // ten seconds of calls have left
 * await clock.runAll()         // the others too
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
    // Infinity is allowed here as on the real clock, where it means the longest timer there is.
    if (Number.isNaN(ms)) throw new TypeError('ms of a timer must be a number, got NaN')
    const lateMs = Math.max(0, finite(this.#lateMs(), 'lateMs'))
    const timer = this.#timers.add(this.#now + Math.min(Math.max(ms, 0), MAX_TIMER_MS) + lateMs, fn)
    return () => this.#timers.remove(timer)
  }

  /** Timers armed and neither fired nor cancelled: 0 for a limiter that is idle, 1 for one with a line. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  /** Resolves after `ms` of virtual time; somebody has to move the clock meanwhile. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.setTimer(resolve, ms))
  }

  /**
   * Lets `ms` pass, firing what falls due. `advance(0)` lets promises settle and fires what is due now.
   *
   * Rejects with a `RangeError` when `ms` is negative or not finite, and with an `Error` when the clock is
   * already being moved: two movers at once would make the order a matter of luck.
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
   * Fires timers until none is left, or none is due by `untilMs` (a moment of `now()`, not a duration). The
   * time stays at the last timer fired.
   *
   * Give `untilMs` where a fault could re-arm a timer for ever. Rejects as `advance` does.
   */
  runAll(options: { untilMs?: number } = {}): Promise<void> {
    fields(options, 'runAll', ['untilMs'])
    const { untilMs = Infinity } = options
    if (typeof untilMs !== 'number' || Number.isNaN(untilMs))
      throw new TypeError(`untilMs must be a moment of now(), in ms, got ${notNumber(untilMs)}`)
    return this.#move(untilMs)
  }

  /** Somebody sets the machine's clock: `wall()` says `epochMs` from now on. Timers and `now()` do not notice. */
  setWall(epochMs: number): void {
    this.#wallAtZero = finite(epochMs, 'epochMs') - this.#now
  }

  /** The machine is suspended: `wall()` moves on by `ms`; timers and `now()` stand still, as they do on most machines. */
  suspend(ms: number): void {
    if (!(finite(ms, 'ms') >= 0)) throw new TypeError(`ms must be at least 0, got ${text(ms)}`)
    this.shiftWall(ms)
  }

  /** Somebody moves the machine's clock by `ms`, forward or, when negative, back. */
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
 * Resolves once no microtask is left, however long the promise chains are: a macrotask starts only then.
 *
 * `setImmediate` takes about a µs, a `MessageChannel` ten, and `setTimeout` 1–4 ms in browsers.
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
