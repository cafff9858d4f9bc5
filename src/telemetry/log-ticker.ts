// When the samplers of a log are read: at the end of each second of the wall clock, as long as something happens,
// all at once, so that a log of a thousand models still makes one write a second. At rest there is no timer, and
// none of its timers keeps a process alive.

import { SECOND } from '../lib/units.ts'
import type { BucketRateLimiter, Clock } from 'llmiter'
import { Sampler } from './sampler.ts'

/** What becomes of the records: `lines` of the second that began at `t`, in epoch ms. */
export type Keep = (lines: string, t: number) => void

/** Those with something to write, should the process end now. */
const awake = new Set<Pulse>()

const flushAll = () => {
  for (const pulse of awake) pulse.flush()
}

/** One listener for all logs, and none while all rest: Node warns of eleven. */
function stay(pulse: Pulse): void {
  if (awake.size === 0) process.on('exit', flushAll)
  awake.add(pulse)
}

function leave(pulse: Pulse): void {
  awake.delete(pulse)
  if (awake.size === 0) process.off('exit', flushAll)
}

/** The samplers of limiters that have one clock. */
export class Pulse {
  readonly #clock: Clock
  readonly #keep: Keep
  readonly #failed: (error: unknown) => void
  readonly #samplers = new Set<Sampler>()
  readonly #busy = new Set<Sampler>()
  #cancel: (() => void) | undefined
  #second = 0

  constructor(clock: Clock, keep: Keep, failed: (error: unknown) => void) {
    this.#clock = clock
    this.#keep = keep
    this.#failed = failed
  }

  add(limiter: BucketRateLimiter): void {
    const sampler = new Sampler(limiter)
    this.#samplers.add(sampler)
    const { waiting, inFlight } = limiter.stats()
    if (waiting + inFlight > 0) this.#wake(sampler)
    else sampler.rest(() => this.#wake(sampler))
  }

  /** Writes what the running second has so far; the rest of it makes a second record. */
  flush(): void {
    this.#safely(() => this.#read())
  }

  end(): void {
    this.flush()
    for (const sampler of this.#samplers) sampler.end()
    this.#samplers.clear()
    this.#busy.clear()
    this.#sleep()
  }

  #wake(sampler: Sampler): void {
    this.#busy.add(sampler)
    if (!this.#cancel) this.#arm()
  }

  #arm(): void {
    const armed = this.#safely(() => {
      const wall = this.#clock.wall()
      if (!Number.isFinite(wall))
        throw new TypeError(`wall() of the clock must be a time in epoch ms, got ${wall}`)
      this.#second = Math.floor(wall / SECOND) * SECOND
      this.#cancel = this.#clock.setTimer(() => this.#ring(), this.#second + SECOND - wall, false)
      stay(this)
    })
    // Without a clock there is no second to wait for; the next call tries again.
    if (!armed) for (const sampler of this.#busy) this.#rest(sampler)
  }

  #sleep(): void {
    this.#cancel?.()
    this.#cancel = undefined
    leave(this)
  }

  #ring(): void {
    this.#sleep()
    this.#safely(() => {
      // A timer may fire a fraction of a ms early: that second is not over.
      const early = Math.floor(this.#clock.wall() / SECOND) * SECOND === this.#second
      if (!early) for (const sampler of this.#read()) this.#rest(sampler)
    })
    if (this.#busy.size > 0) this.#arm()
  }

  #rest(sampler: Sampler): void {
    this.#busy.delete(sampler)
    sampler.rest(() => this.#wake(sampler))
  }

  /** Reads all samplers, and returns those with nothing to say. */
  #read(): Sampler[] {
    const t = this.#second
    let lines = ''
    const quiet: Sampler[] = []
    for (const sampler of this.#busy) {
      const record = sampler.read(t)
      if (record) lines += `${JSON.stringify(record)}\n`
      else quiet.push(sampler)
    }
    if (lines) this.#safely(() => this.#keep(lines, t))
    return quiet
  }

  /** It runs inside people's calls, and in timers: whatever goes wrong here must not reach them. */
  #safely(work: () => void): boolean {
    try {
      work()
      return true
    } catch (error) {
      this.#failed(error)
      return false
    }
  }
}
