/**
 * A client whose own process stalls now and then (a long computation, a garbage collection, a paused container).
 * Its timers fire late, the answers to its calls arrive late, and it does not notice. Calls on their way continue.
 */
import type { Clock } from '../../src/index.ts'

/** It stalls for `forMs` after each `everyMs`. */
export interface Stalls {
  everyMs: number
  forMs: number
}

/** When something that happens at `at` is noticed. */
export function noticedAt({ everyMs, forMs }: Stalls, at: number): number {
  const since = at % everyMs
  return at >= everyMs && since < forMs ? at - since + forMs : at
}

export function stalled(clock: Clock, stalls: Stalls): Clock {
  return {
    now: () => clock.now(),
    wall: () => clock.wall(),
    random: () => clock.random!(),
    setTimer(fn, ms) {
      const now = clock.now()
      return clock.setTimer(fn, noticedAt(stalls, now + ms) - now)
    },
  }
}
