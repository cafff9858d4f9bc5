/** Jobs that do nothing, all of them outstanding at once, ten at a time: what is measured is the limiter alone. */
import Original from 'bottleneck'
import Facade from '../../src/bottleneck/index.ts'
import { type Jobs, microseconds } from '../measure.ts'

const turnOf = (Limiter: typeof Facade) => (size: number) => async () => {
  const limiter = new Limiter({ maxConcurrent: 10 })
  const work = async () => 1
  return microseconds(size, () => Promise.all(Array.from({ length: size }, () => limiter.schedule(work))))
}

export const jobs: Jobs = {
  'llmiter/bottleneck': turnOf(Facade),
  bottleneck: turnOf(Original as unknown as typeof Facade),
}
