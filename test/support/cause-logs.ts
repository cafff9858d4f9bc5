// A log for each cause that can hold calls: the real limiter in virtual time, with its real log. Each is a batch
// that is or was stuck.

import { mkdirSync } from 'node:fs'
import { BucketRateLimiter, type LimiterOptions } from 'llmiter'
import { latencyHealth } from 'llmiter/health'
import { logTo } from 'llmiter/log'
import { memoryStore, VirtualClock } from 'llmiter/testing'

const HOUR_OF_START = Date.UTC(2026, 0, 31, 18)

interface Story {
  options: Partial<LimiterOptions>
  calls: number
  /** What a call takes of the limits. */
  cost?: Record<string, number>
  /** How long the provider takes, or the error it throws. */
  answer: (clock: VirtualClock, seconds: number) => Promise<unknown>
  /** When the log ends. Waiting calls are still waiting then. */
  seconds: number
  parent?: Partial<LimiterOptions>
  /** Whether the limit is that of a store, which cannot be reached after ten seconds. */
  shared?: boolean
  /** Whether the program pauses after ten seconds. */
  paused?: boolean
}

const after = (ms: number) => (clock: VirtualClock) => clock.sleep(ms)
const error = (status: number, name: string, headers: Record<string, string> = {}) =>
  Object.assign(new Error(name), { name, status, headers })
/** Refuses until this second, and reports the remaining wait. */
const refusing = (until: number, status: number) => (clock: VirtualClock, seconds: number) =>
  seconds < until
    ? Promise.reject(error(status, 'Refused', { 'retry-after': String(Math.ceil(until - seconds)) }))
    : clock.sleep(500)

export const STORIES = {
  requests: { options: { requestsPerMinute: 60 }, calls: 200, answer: after(500), seconds: 120 },
  'output tokens': {
    options: { requestsPerMinute: 500, inputTokensPerMinute: 1_000_000, outputTokensPerMinute: 10_000 },
    cost: { inputTokens: 500, outputTokens: 500 },
    ...{ calls: 100, answer: after(800), seconds: 150 },
  },
  "day's quota": {
    options: { requestsPerMinute: 600, requestsPerDay: 100 },
    ...{ calls: 180, answer: after(500), seconds: 180 },
  },
  concurrency: {
    options: { requestsPerSecond: 50, maxConcurrent: 2 },
    ...{ calls: 100, answer: after(2000), seconds: 60 },
  },
  parent: {
    options: { requestsPerMinute: 6000 },
    parent: { name: 'account', requestsPerMinute: 60 },
    ...{ calls: 150, answer: after(500), seconds: 90 },
  },
  'gate by rate': { options: { requestsPerMinute: 120 }, calls: 100, answer: refusing(60, 429), seconds: 70 },
  'gate by overload': {
    options: { requestsPerMinute: 120 },
    calls: 100,
    answer: refusing(60, 503),
    seconds: 70,
  },
  'gate by quota': {
    options: { requestsPerMinute: 120 },
    calls: 100,
    answer: (clock, seconds) =>
      seconds < 10
        ? clock.sleep(500)
        : Promise.reject(Object.assign(error(429, 'RateLimitError'), { code: 'insufficient_quota' })),
    seconds: 11,
  },
  retry: {
    options: { requestsPerMinute: 600, retry: { attempts: 3, minMs: '5s', maxMs: '5s', jitter: 0 } },
    ...{ calls: 10, answer: () => Promise.reject(error(500, 'InternalServerError')), seconds: 30 },
  },
  health: {
    options: { requestsPerMinute: 600, health: latencyHealth({ durationMs: 1000, timeConstantMs: 2000 }) },
    ...{ calls: 600, answer: after(4000), seconds: 90 },
  },
  store: {
    options: { requestsPerMinute: 60 },
    shared: true,
    ...{ calls: 100, answer: after(500), seconds: 90 },
  },
  pause: {
    options: { requestsPerMinute: 60 },
    paused: true,
    ...{ calls: 100, answer: after(500), seconds: 90 },
  },
  'failing key': {
    options: { requestsPerMinute: 600 },
    ...{ calls: 40, answer: () => Promise.reject(error(401, 'AuthenticationError')), seconds: 30 },
  },
  'dead process': { options: { requestsPerMinute: 60 }, calls: 100, answer: after(500), seconds: 20 },
} satisfies Record<string, Story>

export type Cause = keyof typeof STORIES

/**
 * Writes the log of a cause into its own folder, and returns its file. `look` receives the limiter before the
 * first call. Its result is called when the log ends.
 */
export async function tell(
  cause: Cause,
  dir: string,
  look: (limiter: BucketRateLimiter) => () => Promise<void> = () => () => Promise.resolve(),
): Promise<string> {
  const { options, calls, cost, answer, seconds, parent, shared, paused }: Story = STORIES[cause]
  mkdirSync(dir, { recursive: true })
  const clock = new VirtualClock({ wall: HOUR_OF_START })
  const above = parent && new BucketRateLimiter({ clock, ...parent })
  const store = shared && memoryStore({ onStoreDown: 'wait' })
  const limiter = new BucketRateLimiter({
    ...{ name: 'gpt-5', ...options },
    ...(above ? { parent: above } : { clock }),
    ...(store && { store }),
  })
  const log = logTo(limiter, { dir })
  const looked = look(limiter)
  for (let i = 0; i < calls; i++)
    limiter.run(() => answer(clock, clock.now() / 1000), cost && { cost }).catch(() => {})
  await clock.advance(10_000)
  if (store) store.cut('all')
  if (paused) limiter.pause()
  await clock.advance(seconds * 1000 - 10_000)
  await looked()
  log.stop()
  limiter.stop()
  return log.file
}
