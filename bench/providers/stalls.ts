/**
 * A client whose own process stands still now and then (a long computation, a garbage collection, a paused
 * container): its timers and the answers to its calls come late, and it knows nothing of it. What is on its way goes
 * on.
 */
import type { Clock } from '../../src/index.ts'

/** It stands still for `forMs` after each `everyMs`. */
export interface Stalls {
  everyMs: number
  forMs: number
}

/** When what happens at `at` is noticed. */
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
