// Decides how long the store should reserve the share of this process after its last request.
//
// To the store, a dead process looks like one that is cut off and continues with its share. So the share is
// reserved in proportion to its past use: for as long as the process has used its share, or for a tenth of the
// time since it joined. A process that makes one call and dies, again and again, blocks only the share of those
// calls. One that has worked for minutes may be cut off for a minute. So may one that has worked for a good part
// of the time since the limit was first used.

import type { SharedLimit } from 'llmiter'
import { LAW } from '../protocol.ts'
import { SILENCE_MS, TERM_MS } from './timing.ts'

const PART_OF_AGE = 0.1
/**
 * A process is established if it was present for `age` of the time since the limit was first used, and worked for
 * `used` of that time.
 */
const OLD = { age: 0.25, used: 0.1 }
/** A shorter time is not worth reserving. */
const LEAST_MS = 1000

export class KeptShare {
  #usedMs = 0
  #since = Infinity

  /** Records a call that takes these amounts of limits shared by this many processes. */
  uses(amounts: readonly number[], limits: readonly SharedLimit[], processes: number): void {
    const times = limits.map(({ amount, paced, windowMs }, i) => {
      const spanMs = paced ? windowMs : TERM_MS
      return (((amounts[i] ?? 0) * processes) / amount) * spanMs
    })
    this.#usedMs += Math.max(0, ...times)
  }

  /** Records a request to the store. */
  asks(now: number): void {
    this.#since = Math.min(this.#since, now)
  }

  /** How long it has worked, in effect. */
  workedMs(now: number): number {
    return Math.max(this.#usedMs, PART_OF_AGE * (now - this.#since))
  }

  /** How long to reserve its share after the last request, or 0. The store has known the limit for `knownMs`. */
  keepMs(knownMs: number, now: number): number {
    if (now - this.#since >= OLD.age * knownMs && this.#usedMs >= OLD.used * knownMs) return LAW.keptMs
    const worked = this.workedMs(now)
    return worked < LEAST_MS ? 0 : Math.min(LAW.keptMs, 2 * SILENCE_MS + worked)
  }
}
