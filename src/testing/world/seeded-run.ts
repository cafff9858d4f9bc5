/**
 * The random parts of a run in virtual time, derived from its seed: independent streams of numbers, and a clock
 * whose timers are up to 2 ms late, as on a real machine. Lateness keeps periodic work from staying in step with
 * the provider.
 */
import { VirtualClock } from '../clock.ts'
import { seededRandom } from '../../lib/random.ts'

const LATE_MS = 2
const LATE_STREAM = 0

/** The numbers of one of a seed's streams. The first stream is 1. */
export function streamOf(seed: number, stream: number): () => number {
  return seededRandom(seed * 1000 + stream)
}

/** Timers that are set while `isPunctual` returns true are not late and use no random number. */
export function lateClock(seed: number, lateStream = LATE_STREAM, isPunctual = () => false): VirtualClock {
  const late = streamOf(seed, lateStream)
  return new VirtualClock({ seed: seed * 7919, lateMs: () => (isPunctual() ? 0 : LATE_MS * late()) })
}
