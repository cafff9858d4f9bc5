// Shared by the tests of pools: keys at model providers, on one virtual clock.

import { BucketRateLimiter, type LimiterOptions } from 'llmiter'
import { createPool, type PoolOptions, type PoolTarget } from 'llmiter/pool'
import { refusal, steadyClock } from '../helpers.ts'

export type Key = PoolTarget & { tier?: number; weight?: number }

export function poolOf(
  keys: Record<string, Partial<LimiterOptions> & { tier?: number; weight?: number }>,
  options: Omit<PoolOptions<Key>, 'targets'> = {},
  clock = steadyClock(),
) {
  const targets: Key[] = Object.entries(keys).map(([name, { tier, weight, ...limits }]) => ({
    name,
    // Without limits, keys accept all calls. They do not search for an unknown limit.
    limiter: new BucketRateLimiter({
      ...{ name, limits: [], learn: Object.keys(limits).length > 0, ramp: false, clock },
      ...limits,
    }),
    ...(tier !== undefined && { tier }),
    ...(weight !== undefined && { weight }),
  }))
  const pool = createPool({ targets, ...options })
  /** Which target was called, and when. */
  const log: { target: string; at: number }[] = []
  /** A call of this duration, or of the duration that depends on the target. */
  const ask =
    (ms = 0, answers: Record<string, () => unknown> = {}) =>
    async (target: Key) => {
      log.push({ target: target.name, at: clock.now() })
      if (ms > 0) await new Promise<void>((resolve) => clock.setTimer(resolve, ms))
      const answer = answers[target.name]
      return answer ? answer() : target.name
    }
  const counts = () => {
    const all: Record<string, number> = {}
    for (const { target } of log) all[target] = (all[target] ?? 0) + 1
    return all
  }
  const stateOf = (name: string) => pool.stats().targets.find((target) => target.name === name)!.state
  return { clock, pool, targets, log, ask, counts, stateOf }
}

export const fails =
  (status: number, headers: Record<string, string> = {}) =>
  () => {
    throw refusal(status, headers)
  }
