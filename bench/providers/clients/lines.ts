/**
 * Packages that are used in front of an SDK to keep a limit, configured as a careful user would: with the right
 * limit, spread over seconds rather than in one burst per minute. Behind each is OpenAI's SDK with its own two
 * retries, which bypass the queue, as in practice.
 */
import Bottleneck from 'bottleneck'
import PQueue from 'p-queue'
import pThrottle from 'p-throttle'
import type { Call } from '../world.ts'
import type { ClientMaker } from './client.ts'
import { sdkCalls } from './sdk.ts'

const RETRIES = 2
const perSecond = (rpm: number) => Math.max(1, Math.floor(rpm / 60))

/** `intervalCap` calls a second. */
export const pQueue: ClientMaker = (world, { toldRpm }) => {
  const work = sdkCalls(world, RETRIES)
  const queue = new PQueue({ intervalCap: perSecond(toldRpm), interval: 1000 })
  return { call: (call) => queue.add(() => work(call)), stop: () => queue.clear() }
}

/** `limit` calls a second. */
export const throttle: ClientMaker = (world, { toldRpm }) => {
  const work = sdkCalls(world, RETRIES)
  const throttled = pThrottle({ limit: perSecond(toldRpm), interval: 1000 })((call: Call) => work(call))
  return { call: (call) => throttled(call), stop: () => {} }
}

/** `minTime` between calls: the smoothest of the three. */
export const bottleneck: ClientMaker = (world, { toldRpm }) => {
  const work = sdkCalls(world, RETRIES)
  const line = new Bottleneck({ minTime: 60_000 / toldRpm })
  return { call: (call) => line.schedule(() => work(call)), stop: () => {} }
}
