/** Jobs that do nothing, all of them outstanding at once, ten at a time, so that only the limiter is measured. */
import Original from 'bottleneck'
import Facade from '../../src/bottleneck/index.ts'
import { type Jobs, microseconds, warmed } from '../measure.ts'

const turnOf = (Limiter: typeof Facade) => (size: number) => async () => {
  const limiter = new Limiter({ maxConcurrent: 10 })
  const work = async () => 1
  return microseconds(size, () => Promise.all(Array.from({ length: size }, () => limiter.schedule(work))))
}

export const jobs: Jobs = {
  // A turn of Bottleneck takes so long that it is warm after its first hundredth.
  'llmiter/bottleneck': (size) => warmed(turnOf(Facade)(size)),
  bottleneck: turnOf(Original as unknown as typeof Facade),
}
