// What Bottleneck's options mean in options of a limiter.

import type { LimiterOptions, LimitOptions, RefillRule } from 'llmiter'
import { BottleneckError } from './errors.ts'
import type { BottleneckOptions } from './types.ts'

/** How a queue that is full makes room. */
export const strategy = { LEAK: 1, OVERFLOW: 2, OVERFLOW_PRIORITY: 4, BLOCK: 3 } as const

/** An option, or undefined where it is null. */
type Settings = { readonly [K in keyof BottleneckOptions]: NonNullable<BottleneckOptions[K]> | undefined }

/** The options that are given. */
export const given = (options: BottleneckOptions): Settings =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null)) as Settings

/** Options of the limiter that gives places: how many jobs run at once, how many may start, which is next. */
export function placeOptions(settings: Settings, shared: boolean): Partial<LimiterOptions> {
  const { maxConcurrent, highWater } = settings
  const limits = shared ? windowOf(settings) : reservoirOf(settings)
  const evicts = [strategy.LEAK, strategy.OVERFLOW_PRIORITY].includes((settings.strategy ?? 1) as 1)
  return {
    maxConcurrent,
    limits,
    learn: false, // the other limiter hears of refusals
    queue: { ageing: false, ...(evicts && highWater && { max: highWater, onFull: 'evict-oldest' as const }) },
  }
}

function reservoirOf(settings: Settings): LimitOptions[] {
  const { reservoir: amount } = settings
  if (amount === undefined) return []
  const every = settings.reservoirRefreshInterval
  const to = settings.reservoirRefreshAmount
  const rules: RefillRule[] = every !== undefined && to !== undefined ? [{ every, to }] : []
  const by = settings.reservoirIncreaseAmount
  const each = settings.reservoirIncreaseInterval
  if (each !== undefined && by !== undefined && by > 0)
    rules.push({ every: each, by, max: settings.reservoirIncreaseMaximum })
  return [{ of: 'requests', amount, refill: rules.length > 0 ? rules : 'manual' }]
}

/** Processes share windows and no reservoirs: one that is refreshed by the clock is a window of that length. */
function windowOf(settings: Settings): LimitOptions[] {
  const { reservoir, reservoirRefreshAmount: amount, reservoirRefreshInterval: per } = settings
  if (reservoir === undefined) return []
  if (amount === undefined || per === undefined)
    throw new BottleneckError(
      'processes cannot share a reservoir, unless it has reservoirRefreshAmount and reservoirRefreshInterval',
    )
  return [{ of: 'requests', amount, per, pace: false }]
}

/** Options of the limiter that spaces the starts of jobs and waits out refusals. */
export function startOptions({ minTime }: Settings): Partial<LimiterOptions> {
  // Without `minTime` all jobs that have places start at once, as in Bottleneck. A limiter that looks for a limit it does not
  // know would start with one.
  if (!minTime) return { limits: [], learn: false }
  return { limits: [{ of: 'requests', amount: 1, per: minTime, pace: false, jitterMs: 0 }], learn: true }
}

/** How long jobs are turned away by `BLOCK`, in ms. */
export const penaltyOf = ({ penalty, minTime }: Settings): number => penalty ?? (15 * (minTime ?? 0) || 5000)
