// For how long the share of this process is worth keeping when no more is heard of it.
//
// From the store a process that has died looks like one that is cut off and goes on at its share. So what is kept for it is
// what it has shown to need: as long as the time in which it used its share, or a tenth of the time for which it has been there. A
// process that makes one call and dies, again and again, costs its calls, and one that has worked for minutes may be cut off for
// a minute. So may one that has been at work for a good part of the time since the limit was first used.

import type { SharedLimit } from 'llmiter'
import { LAW } from '../protocol.ts'
import { SILENCE_MS, TERM_MS } from './timing.ts'

const PART_OF_AGE = 0.1
/** Who has been there for such a part of the time since the limit was first used, and has worked for such a part, is no newcomer. */
const OLD = { age: 0.25, used: 0.1 }
/** A shorter share is not worth keeping. */
const LEAST_MS = 1000

export class KeptShare {
  #usedMs = 0
  #since = Infinity

  /** A call takes this much, of limits that so many share. */
  uses(amounts: readonly number[], limits: readonly SharedLimit[], processes: number): void {
    const times = limits.map(({ amount, paced, windowMs }, i) => {
      const spanMs = paced ? windowMs : TERM_MS
      return (((amounts[i] ?? 0) * processes) / amount) * spanMs
    })
    this.#usedMs += Math.max(0, ...times)
  }

  /** It asks the store. */
  asks(now: number): void {
    this.#since = Math.min(this.#since, now)
  }

  /** How long it has been at work, in effect. */
  workedMs(now: number): number {
    return Math.max(this.#usedMs, PART_OF_AGE * (now - this.#since))
  }

  /** For how long after the last request its share is to be kept; 0: not at all. The store has known the limit for `knownMs`. */
  keepMs(knownMs: number, now: number): number {
    if (now - this.#since >= OLD.age * knownMs && this.#usedMs >= OLD.used * knownMs) return LAW.keptMs
    const worked = this.workedMs(now)
    return worked < LEAST_MS ? 0 : Math.min(LAW.keptMs, 2 * SILENCE_MS + worked)
  }
}
