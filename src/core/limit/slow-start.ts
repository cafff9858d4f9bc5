// The share of the rate allowed after a quiet spell.
//
// Providers that see a client go from nothing to its full rate at once tend to refuse it. So after a cold
// start or a long quiet the rate starts at `from` (a third) and rises in a straight line to the whole over
// `ms` (5 s). The lost ground is ms × (1 − from) / 2, under 2 s in all, and tickets that a burst has paid for
// are never stretched.

import { type Duration, duration } from '../../lib/duration.ts'

/** The slow start after a quiet minute. */
export interface RampOptions {
  /** How long the rise takes. Default 5000. */
  ms?: Duration | undefined
  /** The share of the rate it starts from, above 0 and at most 1. Default 1/3. */
  from?: number | undefined
}

const QUIET_MS = 60_000

/** The options made exact: without any it is the default, and `false` is a rise that takes no time. */
export function rampOf(options: RampOptions | false = {}): { ms: number; from: number } {
  const { ms = 5000, from = 1 / 3 } = options || { ms: 0 }
  return { ms: ms === 0 ? 0 : duration(ms, 'ramp.ms'), from }
}

export class SlowStart {
  /** Another factor on the rate, while the provider is slow. */
  slowed: ((now: number) => number) | undefined
  #ms = 0
  #from = 1
  #start = -Infinity
  #startFrom = 1
  #busyAt = -Infinity

  constructor(options: RampOptions | false | undefined) {
    this.configure(options)
  }

  configure(options: RampOptions | false | undefined): void {
    const { ms, from } = rampOf(options)
    this.#ms = ms
    this.#from = from
  }

  /** A call asks for a ticket while none waits: the first call ever, or after a long quiet, starts the ramp. */
  wake(now: number): void {
    if (now - this.#busyAt > QUIET_MS) this.restart(now, this.#from)
    this.#busyAt = now
  }

  /** No call waits any more. */
  rest(now: number): void {
    this.#busyAt = now
  }

  /** Starts again from a share of the rate, as after an outage. */
  restart(now: number, from: number): void {
    this.#start = now
    this.#startFrom = from
  }

  /**
   * How long `ms` of full-rate time take from `now` on. Time weighed by the share has the closed form of a
   * quadratic; the smaller of "at the present share" and "the whole deficit that is left" bounds it from above.
   */
  stretch(ms: number, now: number): number {
    const left = this.#start + this.#ms - now
    if (left <= 0 || ms <= 0) return ms
    const share = 1 - ((1 - this.#startFrom) * left) / this.#ms
    return Math.min(ms / share, ms + ((1 - share) * left) / 2)
  }
}
