// Combines the points of a limiter into as many buckets as fit on a screen.
//
// A log has one point per second, and a screen has room for a few hundred. Calls are added up and shown as the
// mean, because the highest second would show a pace that was not sustained. Waiting calls are shown as the
// highest second, because a mean would hide the peaks.

import { type Columns, HELD, least, type LimitColumn, most, WAITS } from './columns.ts'
import { lowerBound } from './search.ts'

/** Bucket lengths that are easy to read, in seconds. */
const SIZES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400]

export const sizeFrom = (least: number) =>
  SIZES.find((size) => size >= least) ?? Math.ceil(least / 86_400) * 86_400

/** A limit in a graph: how much of it is used, in percent. */
interface LimitUse {
  label: string
  colour: string
  percent: (number | null)[]
}

/** The data of a graph: one point per bucket, including empty ones. */
export interface Buckets {
  /** The length of a bucket in seconds. */
  size: number
  /** The start of each bucket, in seconds since the epoch. */
  x: number[]
  /** Mean calls per second: requested, issued, finished, rejected. */
  requests: number[]
  issued: number[]
  finished: number[]
  rejected: number[]
  /** The number of refusals and failures. */
  refused: number[]
  failed: number[]
  /** The maximum over the seconds. */
  waiting: number[]
  parked: number[]
  inFlight: number[]
  gate: number[]
  /** The maximum, in ms. */
  p50: (number | null)[]
  p95: (number | null)[]
  /** Mean tokens per second. */
  asked: number[]
  used: number[]
  /** The last value, per minute. `available` is the minimum. */
  rate: (number | null)[]
  limit: (number | null)[]
  tokenLimit: (number | null)[]
  available: (number | null)[]
  /** The index of the cause that held calls longest, or −1. */
  why: number[]
  limits: LimitUse[]
}

const MEANS = ['requests', 'issued', 'finished', 'rejected', 'asked', 'used'] as const
const SUMS = ['refused', 'failed'] as const
const HIGHEST = ['waiting', 'parked', 'inFlight', 'gate'] as const

/** Combines the seconds from `from` to `to` (exclusive) into at most `most` buckets. */
export function bucketsOf(columns: Columns, from: number, to: number, atMost: number): Buckets {
  const size = sizeFrom(Math.max(columns.size, (to - from) / atMost))
  const first = Math.floor(from / size) * size
  const count = Math.max(1, Math.ceil((to - first) / size))
  const fill = <T>(value: T) => new Array<T>(count).fill(value)
  const buckets = { size, x: Array.from({ length: count }, (_, i) => first + i * size) } as Buckets
  for (const key of [...MEANS, ...SUMS, ...HIGHEST] as const) buckets[key] = fill(0)
  const levels = Object.fromEntries([...HELD, ...WAITS].map((key) => [key, fill(NaN)])) as Levels

  const begin = lowerBound(columns.t, first)
  for (let i = begin; i < columns.t.length && columns.t[i]! < first + count * size; i++)
    addPoint(buckets, levels, Math.floor((columns.t[i]! - first) / size), columns, i)
  for (const key of HELD) holdOn(levels[key], begin > 0 ? columns[key][begin - 1]! : NaN)
  for (const key of [...HELD, ...WAITS] as const) buckets[key] = levels[key].map(orNull)
  buckets.why = longestCauses(columns, buckets, begin)
  buckets.limits = columns.limits.map((limit) => ({
    ...{ label: limit.label, colour: limit.colour },
    percent: limit.perMs < LONG_MS ? pace(columns, limit, buckets) : usedUp(columns, limit, buckets),
  }))
  return buckets
}

/** Values that may be unknown, as NaN. */
type Levels = Record<(typeof HELD)[number] | (typeof WAITS)[number], number[]>

/** Charts expect null for unknown values. */
const orNull = (value: number) => (Number.isNaN(value) ? null : value)

function addPoint(buckets: Buckets, levels: Levels, at: number, columns: Columns, i: number): void {
  for (const key of MEANS) buckets[key][at]! += columns[key][i]! / buckets.size
  for (const key of SUMS) buckets[key][at]! += columns[key][i]!
  for (const key of HIGHEST) buckets[key][at] = Math.max(buckets[key][at]!, columns[key][i]!)
  for (const key of ['rate', 'limit', 'tokenLimit'] as const) levels[key][at] = columns[key][i]!
  levels.available[at] = least(levels.available[at]!, columns.available[i]!)
  for (const key of WAITS) levels[key][at] = most(levels[key][at]!, columns[key][i]!)
}

/** The cause that held calls longest, per bucket, or −1. `begin`: the first point. */
function longestCauses({ t, why, whyS }: Columns, { x, size }: Buckets, begin: number): number[] {
  let next = begin
  return x.map((start) => {
    const held = new Map<number, number>()
    for (; next < t.length && t[next]! < start + size; next++)
      if (why[next]! >= 0) held.set(why[next]!, (held.get(why[next]!) ?? 0) + whyS[next]!)
    return [...held].reduce((best, each) => (each[1] > best[1] ? each : best), [-1, 0])[0]
  })
}

/** Limits with at least this window are quotas, shown by their remaining amount instead of the pace. */
const LONG_MS = 3_600_000

/** The least part of a limit per minute over which a pace is computed, in seconds and in calls or tokens. */
const PACE_S = 10
const PACE_UNITS = 10

/**
 * The pace at which a limit is used, in percent of the allowed pace: the mean of the last ten seconds, or of ten
 * calls.
 */
function pace(
  { t, size }: Columns,
  { asked, amount, perMs }: LimitColumn,
  buckets: Buckets,
): (number | null)[] {
  const start = t[0] ?? 0
  let [tail, head, sum, last] = [0, 0, 0, NaN]
  return buckets.x.map((x) => {
    const end = x + buckets.size
    for (; head < t.length && t[head]! < end; head++) {
      sum += asked[head]!
      if (!Number.isNaN(amount[head])) last = amount[head]!
    }
    if (Number.isNaN(last) || start >= end) return null
    const wanted = Math.min(perMs / 1000, Math.max(PACE_S, (PACE_UNITS * perMs) / last / 1000))
    const seconds = Math.max(buckets.size, size * Math.ceil(wanted / size))
    for (; tail < head && t[tail]! < end - seconds; tail++) sum -= asked[tail]!
    const known = Math.min(seconds, Math.max(end - start, 1))
    return (100 * sum * perMs) / (1000 * known * last)
  })
}

/** How much of a quota is used, in percent. */
function usedUp({ t }: Columns, { free, amount }: LimitColumn, buckets: Buckets): (number | null)[] {
  let [next, percent] = [0, null as number | null]
  return buckets.x.map((x) => {
    for (; next < t.length && t[next]! < x + buckets.size; next++) {
      const [left, all] = [free[next], amount[next]]
      if (!Number.isNaN(left) && all! > 0) percent = Math.max(0, 100 * (1 - left! / all!))
    }
    return percent
  })
}

/** Fills unknown values with the previous known one. */
function holdOn(values: number[], before: number): void {
  let last = before
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) values[i] = last
    else last = values[i]!
  }
}

/** The intervals in which the gate was not open, end exclusive. */
export function closures({ x, gate, size }: Buckets): { from: number; to: number; closed: boolean }[] {
  return stretches(gate, x, size)
    .filter(({ value }) => value > 0)
    .map(({ from, to, value }) => ({ from, to, closed: value === 2 }))
}

/** The intervals in which one cause held calls longest. */
export const causesIn = ({ x, why, size }: Buckets) =>
  stretches(why, x, size)
    .filter(({ value }) => value >= 0)
    .map(({ from, to, value }) => ({ from, to, cause: value }))

/** Merges neighbours with the same value. */
function stretches(values: readonly number[], x: readonly number[], size: number) {
  const found: { from: number; to: number; value: number }[] = []
  values.forEach((value, i) => {
    const last = found.at(-1)
    if (last?.value === value) last.to = x[i]! + size
    else found.push({ from: x[i]!, to: x[i]! + size, value })
  })
  return found
}
