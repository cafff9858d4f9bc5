// From records to what a graph shows.
//
// A log has a second for each point, a screen a few hundred points, so seconds are put together, and honestly: calls
// are added up and shown as the mean, since a highest second would show a pace that never was; waiting calls are shown
// by their highest second, since a mean would hide what matters. A log of a million seconds is put together once
// while it is read, so that it fits into a page; every other log keeps its seconds, and zooming in leads back to them.

import type { LimitRecord, LogRecord } from '../../telemetry/log-record.ts'
import { Causes, limitName } from './causes.ts'
import { lowerBound } from './search.ts'
import { AllTotals, type Totals, TotalsOf } from './totals.ts'

/** Counts are added up over time and over limiters; levels are added up over limiters, and over time the highest counts. */
const COUNTS = ['requests', 'issued', 'refused', 'finished', 'failed', 'rejected', 'asked', 'used'] as const
const LEVELS = ['waiting', 'parked', 'inFlight'] as const
/** What goes on holding while nothing happens. */
const HELD = ['rate', 'limit', 'available', 'tokenLimit'] as const
const WAITS = ['p50', 'p95'] as const

export const GATES = ['open', 'probing', 'closed'] as const

type Summed = (typeof COUNTS)[number] | (typeof LEVELS)[number]
type Held = (typeof HELD)[number]

/** One limit of a limiter, point by point. */
export interface LimitColumn {
  of: string
  /** 'output tokens a minute'. */
  label: string
  colour: string
  perMs: number
  /** What tickets took in each point. */
  asked: number[]
  /** What could be taken at once, the least of each point. */
  free: (number | null)[]
  /** The amount in `perMs` that is followed: as configured, or less where less was learned. */
  amount: (number | null)[]
}

/** The points of one limiter in which something happened, field by field; `t` in whole seconds since the epoch. */
export type Columns = {
  name: string
  /** Seconds in a point. */
  size: number
  t: number[]
  gate: number[]
  /** The place of the cause that held calls in most of the point's seconds; −1 where none did. */
  why: number[]
  /** By how many seconds it is ahead of the others. */
  whyS: number[]
  limits: LimitColumn[]
} & Record<Summed, number[]> &
  Record<Held | (typeof WAITS)[number], (number | null)[]>

const SUMMED: readonly Summed[] = [...COUNTS, ...LEVELS]

function empty(name: string, size: number): Columns {
  const columns = { name, size, t: [], gate: [], why: [], whyS: [], limits: [] } as unknown as Columns
  for (const key of [...SUMMED, ...HELD, ...WAITS]) columns[key] = []
  return columns
}

/** Every list of a limiter that has a value for each point, with the value of a point in which nothing happened. */
function lists(columns: Columns): [values: (number | null)[], nothing: number | null][] {
  return [
    ...SUMMED.map((key): [number[], number] => [columns[key], 0]),
    ...[...HELD, ...WAITS].map((key): [(number | null)[], null] => [columns[key], null]),
    [columns.gate, 0],
    [columns.why, -1],
    [columns.whyS, 0],
    ...columns.limits.flatMap(({ asked, free, amount }): [(number | null)[], number | null][] => [
      [asked, 0],
      [free, null],
      [amount, null],
    ]),
  ]
}

/** Lengths of points that people can read, in seconds. */
const SIZES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400]

const sizeFrom = (least: number) => SIZES.find((size) => size >= least) ?? Math.ceil(least / 86_400) * 86_400

/** So many points are kept of a run. */
const MOST_POINTS = 300_000

/** One limiter of a run: its points, and what came of its calls. */
export interface LimiterSeries {
  columns: Columns
  totals: Totals
}

interface Building {
  columns: Columns
  totals: TotalsOf
}

/** A run, record by record. */
export class RunSeries {
  readonly #causes = new Causes()
  readonly #byName = new Map<string, Building>()
  readonly #all = new AllTotals()
  readonly #mostPoints: number
  #size = 1
  #points = 0

  constructor(mostPoints = MOST_POINTS) {
    this.#mostPoints = mostPoints
  }

  /** How many points are kept, of all limiters. */
  get points(): number {
    return this.#points
  }

  get causes() {
    return this.#causes.list
  }

  /** Seconds in a point. */
  get size(): number {
    return this.#size
  }

  /** The limiters, in the order of their names. */
  get limiters(): LimiterSeries[] {
    return [...this.#byName.values()]
      .map(({ columns, totals }) => ({ columns, totals: totals.read() }))
      .sort((a, b) => (a.columns.name < b.columns.name ? -1 : 1))
  }

  get names(): string[] {
    return [...this.#byName.keys()]
  }

  /** Of all limiters together. */
  get totals(): Totals {
    return this.#all.read()
  }

  add(record: LogRecord): void {
    const { name } = record
    const { columns, totals } = this.#byName.get(name) ?? this.#open(name)
    const why = record.why ? this.#causes.placeOf(record.why) : -1
    totals.add(record, why)
    this.#all.add(record, why)
    const points = columns.t.length
    addTo(columns, record, why, this.#causes)
    this.#points += columns.t.length - points
    while (this.#points > Math.max(this.#mostPoints, this.#byName.size)) this.coarsen()
  }

  /** Puts points together into the next longer ones. */
  coarsen(): void {
    this.#size = sizeFrom(this.#size + 1)
    this.#points = 0
    for (const building of this.#byName.values()) {
      building.columns = coarser(building.columns, this.#size)
      this.#points += building.columns.t.length
    }
  }

  #open(name: string): Building {
    const made = { columns: empty(name, this.#size), totals: new TotalsOf(name) }
    this.#byName.set(name, made)
    this.#all.join(made.totals)
    return made
  }
}

export function seriesOf(records: Iterable<LogRecord>): RunSeries {
  const series = new RunSeries()
  for (const record of records) series.add(record)
  return series
}

/** The place of the point that begins at `t`, which is made if there is none: a clock may have been set back. */
function placeFor(columns: Columns, t: number): number {
  const last = columns.t.at(-1)
  const at = last === undefined || t > last ? columns.t.length : lowerBound(columns.t, t)
  if (at === columns.t.length) append(columns, t)
  else if (columns.t[at] !== t) {
    columns.t.splice(at, 0, t)
    for (const [values, nothing] of lists(columns)) values.splice(at, 0, nothing)
  }
  return at
}

/** As `lists` does, but a million times without a list of lists. */
function append(columns: Columns, t: number): void {
  columns.t.push(t)
  for (const key of SUMMED) columns[key].push(0)
  for (const key of HELD) columns[key].push(null)
  for (const key of WAITS) columns[key].push(null)
  columns.gate.push(0)
  columns.why.push(-1)
  columns.whyS.push(0)
  for (const { asked, free, amount } of columns.limits) {
    asked.push(0)
    free.push(null)
    amount.push(null)
  }
}

/** Records of one second add up: a flush cuts it in two. The later one tells the levels. */
function addTo(columns: Columns, record: LogRecord, why: number, causes: Causes): void {
  const { size } = columns
  const at = placeFor(columns, Math.floor(record.t / 1000 / size) * size)
  const { tokens, waitMs } = record
  const counts = { ...record, asked: tokens?.asked ?? 0, used: tokens?.used ?? 0 }
  for (const key of COUNTS) columns[key][at]! += counts[key]
  const level = (before: number, now: number) => (size === 1 ? now : Math.max(before, now))
  for (const key of LEVELS) columns[key][at] = level(columns[key][at]!, record[key])
  columns.gate[at] = level(columns.gate[at]!, GATES.indexOf(record.gate))
  columns.rate[at] = record.rate ?? null
  columns.limit[at] = record.limit ?? null
  columns.available[at] = tokens?.available ?? null
  columns.tokenLimit[at] = tokens?.limit ?? null
  for (const key of WAITS) columns[key][at] = most(columns[key][at]!, waitMs?.[key] ?? null)
  if (size === 1) [columns.why[at], columns.whyS[at]] = [why, why < 0 ? 0 : 1]
  else vote(columns, at, why, why < 0 ? 0 : 1)
  for (const limit of record.limits ?? []) {
    const column = limitColumn(columns, limit, causes)
    column.asked[at]! += limit.asked ?? 0
    column.free[at] = size === 1 ? limit.available : least(column.free[at]!, limit.available)
    column.amount[at] = limit.learned ?? limit.amount
  }
}

function limitColumn({ limits, t }: Columns, { of, perMs }: LimitRecord, causes: Causes): LimitColumn {
  const found = limits.find((column) => column.of === of && column.perMs === perMs)
  if (found) return found
  const label = limitName(of, of, perMs)
  const made = { of, perMs, label, colour: causes.colourOfLimit(label), ...emptyLimit(t.length) }
  limits.push(made)
  return made
}

const emptyLimit = (points: number) => ({
  asked: new Array<number>(points).fill(0),
  free: new Array<number | null>(points).fill(null),
  amount: new Array<number | null>(points).fill(null),
})

/** The cause of most seconds of a point is that of the point, so far as one number can remember. */
function vote(
  { why, whyS }: Pick<Columns, 'why' | 'whyS'>,
  at: number,
  cause: number,
  seconds: number,
): void {
  if (cause === why[at]) whyS[at]! += seconds
  else if (seconds <= whyS[at]!) whyS[at]! -= seconds
  else [why[at], whyS[at]] = [cause, seconds - whyS[at]!]
}

const least = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : Math.min(a, b))
const most = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : Math.max(a, b))

function coarser(from: Columns, size: number): Columns {
  const to = empty(from.name, size)
  to.limits = from.limits.map((limit) => ({ ...limit, ...emptyLimit(0) }))
  from.t.forEach((t, i) => {
    const at = placeFor(to, Math.floor(t / size) * size)
    for (const key of COUNTS) to[key][at]! += from[key][i]!
    for (const key of [...LEVELS, 'gate'] as const) to[key][at] = Math.max(to[key][at]!, from[key][i]!)
    for (const key of ['rate', 'limit', 'tokenLimit'] as const) to[key][at] = from[key][i]!
    to.available[at] = least(to.available[at]!, from.available[i]!)
    for (const key of WAITS) to[key][at] = most(to[key][at]!, from[key][i]!)
    vote(to, at, from.why[i]!, from.whyS[i]!)
    from.limits.forEach(({ asked, free, amount }, k) => {
      const column = to.limits[k]!
      column.asked[at]! += asked[i]!
      column.free[at] = least(column.free[at]!, free[i]!)
      column.amount[at] = amount[i] ?? column.amount[at]!
    })
  })
  return to
}

/** All limiters as one: calls, levels and limits add up; the gate is that of the one that is worst off. */
export function together(all: readonly Columns[], name: string): Columns {
  const sum = empty(name, all[0]?.size ?? 1)
  const times = [...new Set(all.flatMap(({ t }) => t))].sort((a, b) => a - b)
  sum.t = times
  for (const [values, nothing] of lists(sum)) for (let i = 0; i < times.length; i++) values.push(nothing)
  const most_ = new Array<number>(times.length).fill(0)
  for (const columns of all) {
    let at = 0
    columns.t.forEach((t, i) => {
      while (times[at]! < t) at++
      for (const key of SUMMED) sum[key][at]! += columns[key][i]!
      sum.gate[at] = Math.max(sum.gate[at]!, columns.gate[i]!)
      for (const key of WAITS) sum[key][at] = most(sum[key][at]!, columns[key][i]!)
      // The cause that holds the most calls.
      if (columns.why[i]! >= 0 && columns.waiting[i]! >= most_[at]!) {
        most_[at] = columns.waiting[i]!
        ;[sum.why[at], sum.whyS[at]] = [columns.why[i]!, columns.whyS[i]!]
      }
    })
    for (const key of HELD) addHeld(sum[key], columns[key], columns.t, times)
    for (const limit of columns.limits) addLimit(sum, limit, columns.t)
  }
  return sum
}

function addLimit(sum: Columns, limit: LimitColumn, t: readonly number[]): void {
  let column = sum.limits.find(({ label }) => label === limit.label)
  if (!column) sum.limits.push((column = { ...limit, ...emptyLimit(sum.t.length) }))
  const { asked, free, amount } = limit
  let at = 0
  t.forEach((second, i) => {
    while (sum.t[at]! < second) at++
    column.asked[at]! += asked[i]!
  })
  addHeld(column.free, free, t, sum.t)
  addHeld(column.amount, amount, t, sum.t)
}

/** Adds what one limiter said last to what the others said. */
function addHeld(
  sum: (number | null)[],
  values: readonly (number | null)[],
  t: readonly number[],
  times: readonly number[],
): void {
  let next = 0
  let held: number | null = null
  for (let at = 0; at < times.length; at++) {
    if (t[next] === times[at]) held = values[next++]!
    if (held !== null) sum[at] = (sum[at] ?? 0) + held
  }
}

/** A limit in a graph: how much of it is used, in percent. */
interface LimitUse {
  label: string
  colour: string
  percent: (number | null)[]
}

/** What a graph draws: a point for each bucket, also for those in which nothing happened. */
export interface Buckets {
  /** Seconds in a bucket. */
  size: number
  /** When each begins, in seconds since the epoch. */
  x: number[]
  /** Calls a second, the mean: asked, issued, finished, turned away. */
  requests: number[]
  issued: number[]
  finished: number[]
  rejected: number[]
  /** All refusals and failures. */
  refused: number[]
  failed: number[]
  /** The highest second. */
  waiting: number[]
  parked: number[]
  inFlight: number[]
  gate: number[]
  /** In ms, the highest. */
  p50: (number | null)[]
  p95: (number | null)[]
  /** Tokens a second, the mean. */
  asked: number[]
  used: number[]
  /** A minute, as it was last; `available` is the least. */
  rate: (number | null)[]
  limit: (number | null)[]
  tokenLimit: (number | null)[]
  available: (number | null)[]
  /** The place of the cause that held calls the longest; −1: none did. */
  why: number[]
  limits: LimitUse[]
}

const MEANS = ['requests', 'issued', 'finished', 'rejected', 'asked', 'used'] as const
const SUMS = ['refused', 'failed'] as const
const HIGHEST = ['waiting', 'parked', 'inFlight', 'gate'] as const

/** Puts the seconds `from` to `to` (the last one left out) into at most `most` buckets. */
export function bucketsOf(columns: Columns, from: number, to: number, atMost: number): Buckets {
  const size = sizeFrom(Math.max(columns.size, (to - from) / atMost))
  const first = Math.floor(from / size) * size
  const count = Math.max(1, Math.ceil((to - first) / size))
  const fill = <T>(value: T) => new Array<T>(count).fill(value)
  const buckets = { size, x: Array.from({ length: count }, (_, i) => first + i * size) } as Buckets
  for (const key of [...MEANS, ...SUMS, ...HIGHEST] as const) buckets[key] = fill(0)
  for (const key of [...HELD, ...WAITS] as const) buckets[key] = fill<number | null>(null)

  const begin = lowerBound(columns.t, first)
  for (let i = begin; i < columns.t.length && columns.t[i]! < first + count * size; i++)
    addPoint(buckets, Math.floor((columns.t[i]! - first) / size), columns, i)
  for (const key of HELD) holdOn(buckets[key], begin > 0 ? columns[key][begin - 1]! : null)
  buckets.why = longestCauses(columns, buckets, begin)
  buckets.limits = columns.limits.map((limit) => ({
    ...{ label: limit.label, colour: limit.colour },
    percent: limit.perMs < LONG_MS ? pace(columns, limit, buckets) : usedUp(columns, limit, buckets),
  }))
  return buckets
}

function addPoint(buckets: Buckets, at: number, columns: Columns, i: number): void {
  for (const key of MEANS) buckets[key][at]! += columns[key][i]! / buckets.size
  for (const key of SUMS) buckets[key][at]! += columns[key][i]!
  for (const key of HIGHEST) buckets[key][at] = Math.max(buckets[key][at]!, columns[key][i]!)
  for (const key of ['rate', 'limit', 'tokenLimit'] as const) buckets[key][at] = columns[key][i]!
  buckets.available[at] = least(buckets.available[at]!, columns.available[i]!)
  for (const key of WAITS) buckets[key][at] = most(buckets[key][at]!, columns[key][i]!)
}

/** In each bucket the cause that held calls the longest; −1 where none did. `begin`: the first point. */
function longestCauses({ t, why, whyS }: Columns, { x, size }: Buckets, begin: number): number[] {
  let next = begin
  return x.map((start) => {
    const held = new Map<number, number>()
    for (; next < t.length && t[next]! < start + size; next++)
      if (why[next]! >= 0) held.set(why[next]!, (held.get(why[next]!) ?? 0) + whyS[next]!)
    return [...held].reduce((best, each) => (each[1] > best[1] ? each : best), [-1, 0])[0]
  })
}

/** Windows from here on are quotas: what matters is what is left of them, not the pace. */
const LONG_MS = 3_600_000

/** So much of a minute's limit is needed to speak of a pace, in seconds and in calls or tokens. */
const PACE_S = 10
const PACE_UNITS = 10

/** The pace at which a limit is used, in percent of the pace that it allows: the mean of the last ten seconds, or of ten calls. */
function pace(
  { t, size }: Columns,
  { asked, amount, perMs }: LimitColumn,
  buckets: Buckets,
): (number | null)[] {
  const start = t[0] ?? 0
  let [tail, head, sum, last] = [0, 0, 0, null as number | null]
  return buckets.x.map((x) => {
    const end = x + buckets.size
    for (; head < t.length && t[head]! < end; head++) {
      sum += asked[head]!
      last = amount[head] ?? last
    }
    if (last === null || start >= end) return null
    const wanted = Math.min(perMs / 1000, Math.max(PACE_S, (PACE_UNITS * perMs) / last / 1000))
    const seconds = Math.max(buckets.size, size * Math.ceil(wanted / size))
    for (; tail < head && t[tail]! < end - seconds; tail++) sum -= asked[tail]!
    const known = Math.min(seconds, Math.max(end - start, 1))
    return (100 * sum * perMs) / (1000 * known * last)
  })
}

/** How much of a quota is used up, in percent. */
function usedUp({ t }: Columns, { free, amount }: LimitColumn, buckets: Buckets): (number | null)[] {
  let [next, percent] = [0, null as number | null]
  return buckets.x.map((x) => {
    for (; next < t.length && t[next]! < x + buckets.size; next++) {
      const [left, all] = [free[next], amount[next]]
      if (left !== null && all) percent = Math.max(0, 100 * (1 - left! / all))
    }
    return percent
  })
}

/** Where nothing was said, what was said before holds. */
function holdOn(values: (number | null)[], before: number | null): void {
  let last = before
  for (let i = 0; i < values.length; i++) last = values[i] ??= last
}

/** The seconds that a run covers, the last one left out; undefined for an empty one. */
export function spanOf(all: readonly Columns[]): { from: number; to: number } | undefined {
  const times = all.filter(({ t }) => t.length > 0)
  if (times.length === 0) return undefined
  return {
    from: times.reduce((least, { t }) => Math.min(least, t[0]!), Infinity),
    to: times.reduce((most, { t, size }) => Math.max(most, t.at(-1)! + size), -Infinity),
  }
}

/** Stretches in which the gate was not open: the end is left out. */
export function closures({ x, gate, size }: Buckets): { from: number; to: number; closed: boolean }[] {
  return stretches(gate, x, size)
    .filter(({ value }) => value > 0)
    .map(({ from, to, value }) => ({ from, to, closed: value === 2 }))
}

/** Stretches in which one cause held calls the longest. */
export const causesIn = ({ x, why, size }: Buckets) =>
  stretches(why, x, size)
    .filter(({ value }) => value >= 0)
    .map(({ from, to, value }) => ({ from, to, cause: value }))

/** Neighbours with one value as one. */
function stretches(values: readonly number[], x: readonly number[], size: number) {
  const found: { from: number; to: number; value: number }[] = []
  values.forEach((value, i) => {
    const last = found.at(-1)
    if (last?.value === value) last.to = x[i]! + size
    else found.push({ from: x[i]!, to: x[i]! + size, value })
  })
  return found
}
