// Reads the samplers of a log at the end of each second of the wall clock, while there is activity. All samplers
// are read together, so that a log of a thousand models makes one write per second. Without activity there is no
// timer, and no timer keeps the process alive.

import { SECOND } from '../lib/units.ts'
import type { BucketRateLimiter, Clock } from 'llmiter'
import { Sampler } from './sampler.ts'

/** Receives the records of the second that began at `t` (epoch ms). */
export type Keep = (lines: string, t: number) => void

/** Pulses with unwritten records, which are flushed when the process exits. */
const awake = new Set<Pulse>()

const flushAll = () => {
  for (const pulse of awake) pulse.flush()
}

/** One exit listener for all logs, and none while all are idle: Node warns at eleven listeners. */
function stay(pulse: Pulse): void {
  if (awake.size === 0) process.on('exit', flushAll)
  awake.add(pulse)
}

function leave(pulse: Pulse): void {
  awake.delete(pulse)
  if (awake.size === 0) process.off('exit', flushAll)
}

/** The samplers of all limiters with the same clock. */
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

  /** Writes the records of the current second so far. The rest of the second is written as another record. */
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
    // The clock failed, so there is no second to wait for. The next call tries again.
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
      // A timer may fire a fraction of a ms early, before the second is over.
      const early = Math.floor(this.#clock.wall() / SECOND) * SECOND === this.#second
      if (!early) for (const sampler of this.#read()) this.#rest(sampler)
    })
    if (this.#busy.size > 0) this.#arm()
  }

  #rest(sampler: Sampler): void {
    this.#busy.delete(sampler)
    sampler.rest(() => this.#wake(sampler))
  }

  /** Reads all samplers, and returns those without a record. */
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

  /** Runs inside users' calls and in timers, so no error may reach them. */
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
