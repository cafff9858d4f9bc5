// From records to what a graph shows. It runs where the page is made and in the page itself.
//
// A log has a second for each point, a screen a few hundred points, so seconds are put together into buckets, and
// honestly: calls are added up and shown as the mean of the bucket, since a highest second would show a pace that
// never was; refusals and the overflow are shown by their highest second, since a mean would hide what matters.
// Zooming in leads back to the seconds.

import type { LogRecord } from '../../telemetry/log-record.ts'

/** The counts and levels of a record that are added up over limiters. */
const COUNTS = ['requests', 'issued', 'refused', 'finished', 'failed', 'rejected'] as const
const LEVELS = ['waiting', 'parked', 'inFlight'] as const
const TOKENS = ['asked', 'used'] as const
/** What goes on holding while nothing happens. */
const HELD = ['rate', 'limit', 'available', 'tokenLimit'] as const

export const GATES = ['open', 'probing', 'closed'] as const

type Summed = (typeof COUNTS)[number] | (typeof LEVELS)[number] | (typeof TOKENS)[number]
type Held = (typeof HELD)[number]

/** The seconds of one limiter in which something happened, field by field; `t` in whole seconds since the epoch. */
export type Columns = { name: string; t: number[]; gate: number[]; p95: (number | null)[] } & Record<
  Summed,
  number[]
> &
  Record<Held, (number | null)[]>

const SUMMED: readonly Summed[] = [...COUNTS, ...LEVELS, ...TOKENS]

function empty(name: string): Columns {
  const columns = { name, t: [], gate: [], p95: [] } as unknown as Columns
  for (const key of [...SUMMED, ...HELD]) columns[key] = []
  return columns
}

/** The limiters of a run, in the order of their names. Records of one second add up: a flush cuts it in two. */
export function columnsOf(records: readonly LogRecord[]): Columns[] {
  const byName = new Map<string, Columns>()
  const sorted = records.some(({ t }, i) => i > 0 && t < records[i - 1]!.t)
    ? [...records].sort((a, b) => a.t - b.t)
    : records
  for (const record of sorted) {
    const columns = byName.get(record.name) ?? empty(record.name)
    byName.set(record.name, columns)
    add(columns, record)
  }
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function add(columns: Columns, record: LogRecord): void {
  const { tokens } = record
  const second = Math.floor(record.t / 1000)
  const again = columns.t.at(-1) === second
  const at = again ? columns.t.length - 1 : columns.t.length
  columns.t[at] = second
  const counts = { ...record, asked: tokens?.asked ?? 0, used: tokens?.used ?? 0 }
  for (const key of COUNTS) columns[key][at] = (again ? columns[key][at]! : 0) + counts[key]
  for (const key of TOKENS) columns[key][at] = (again ? columns[key][at]! : 0) + counts[key]
  for (const key of LEVELS) columns[key][at] = record[key]
  columns.gate[at] = GATES.indexOf(record.gate)
  columns.rate[at] = record.rate ?? null
  columns.limit[at] = record.limit ?? null
  columns.available[at] = tokens?.available ?? null
  columns.tokenLimit[at] = tokens?.limit ?? null
  columns.p95[at] = record.waitMs?.p95 ?? (again ? columns.p95[at]! : null)
}

/** All limiters as one: calls, levels and limits add up; the gate is that of the one that is worst off. */
export function together(all: readonly Columns[], name: string): Columns {
  const sum = empty(name)
  const next = all.map(() => 0)
  const held = all.map(() => ({}) as Partial<Record<Held, number | null>>)
  for (;;) {
    const t = Math.min(...all.map(({ t }, i) => t[next[i]!] ?? Infinity))
    if (t === Infinity) return sum
    const at = sum.t.push(t) - 1
    for (const key of SUMMED) sum[key][at] = 0
    sum.gate[at] = 0
    sum.p95[at] = null
    all.forEach((each, i) => {
      const from = next[i]!
      if (each.t[from] !== t) return
      next[i] = from + 1
      for (const key of SUMMED) sum[key][at]! += each[key][from]!
      for (const key of HELD) held[i]![key] = each[key][from] ?? null
      sum.gate[at] = Math.max(sum.gate[at]!, each.gate[from]!)
      const p95 = each.p95[from] ?? null
      if (p95 !== null) sum.p95[at] = Math.max(sum.p95[at] ?? 0, p95)
    })
    for (const key of HELD) {
      const known = held.flatMap((each) => each[key] ?? [])
      sum[key][at] = known.length > 0 ? known.reduce((a, b) => a + b) : null
    }
  }
}

/** Lengths of buckets that people can read, in seconds. */
const SIZES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400]

/** What a graph draws: a point for each bucket, also for those in which nothing happened. */
export interface Buckets {
  /** Seconds in a bucket. */
  size: number
  /** When each begins, in seconds since the epoch. */
  x: number[]
  /** Calls a second, the mean: asked, issued, finished, failed, turned away. */
  requests: number[]
  issued: number[]
  finished: number[]
  failed: number[]
  rejected: number[]
  /** Refusals, all of them. */
  refusals: number[]
  /** The highest second. */
  refused: number[]
  waiting: number[]
  parked: number[]
  inFlight: number[]
  gate: number[]
  p95: (number | null)[]
  /** Tokens a second, the mean. */
  asked: number[]
  used: number[]
  /** A minute, as it was last; `available` is the least. */
  rate: (number | null)[]
  limit: (number | null)[]
  tokenLimit: (number | null)[]
  available: (number | null)[]
}

const MEANS = ['requests', 'issued', 'finished', 'failed', 'rejected', 'asked', 'used'] as const
const HIGHEST = ['refused', 'waiting', 'parked', 'inFlight', 'gate'] as const

/** Puts the seconds `from` to `to` (the last one left out) into at most `most` buckets. */
export function bucketsOf(columns: Columns, from: number, to: number, most: number): Buckets {
  const wanted = (to - from) / most
  const size = SIZES.find((size) => size >= wanted) ?? Math.ceil(wanted / 86_400) * 86_400
  const first = Math.floor(from / size) * size
  const count = Math.max(1, Math.ceil((to - first) / size))
  const fill = <T>(value: T) => new Array<T>(count).fill(value)
  const buckets = { size, x: Array.from({ length: count }, (_, i) => first + i * size) } as Buckets
  for (const key of [...MEANS, ...HIGHEST, 'refusals'] as const) buckets[key] = fill(0)
  for (const key of [...HELD, 'p95'] as const) buckets[key] = fill<number | null>(null)

  const { t } = columns
  const begin = lowerBound(t, first)
  for (let i = begin; i < t.length && t[i]! < first + count * size; i++) {
    const at = Math.floor((t[i]! - first) / size)
    for (const key of MEANS) buckets[key][at]! += columns[key][i]! / size
    buckets.refusals[at]! += columns.refused[i]!
    for (const key of HIGHEST) buckets[key][at] = Math.max(buckets[key][at]!, columns[key][i]!)
    for (const key of ['rate', 'limit', 'tokenLimit'] as const) buckets[key][at] = columns[key][i]!
    buckets.available[at] = least(buckets.available[at]!, columns.available[i]!)
    const p95 = columns.p95[i]!
    if (p95 !== null) buckets.p95[at] = Math.max(buckets.p95[at] ?? 0, p95)
  }
  for (const key of HELD) holdOn(buckets[key], begin > 0 ? columns[key][begin - 1]! : null)
  return buckets
}

const least = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : Math.min(a, b))

/** Where nothing was said, what was said before holds. */
function holdOn(values: (number | null)[], before: number | null): void {
  let last = before
  for (let i = 0; i < values.length; i++) last = values[i] ??= last
}

/** The first place in an ascending list whose value is not below this one. */
function lowerBound(ascending: readonly number[], value: number): number {
  let [low, high] = [0, ascending.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (ascending[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}

/** The seconds that a run covers, the last one left out; undefined for an empty one. */
export function spanOf(all: readonly Columns[]): { from: number; to: number } | undefined {
  const times = all.filter(({ t }) => t.length > 0)
  if (times.length === 0) return undefined
  return {
    from: Math.min(...times.map(({ t }) => t[0]!)),
    to: Math.max(...times.map(({ t }) => t.at(-1)! + 1)),
  }
}

/** Stretches in which the gate was not open: the end is left out. */
export function closures({ x, gate, size }: Buckets): { from: number; to: number; closed: boolean }[] {
  const found: { from: number; to: number; closed: boolean }[] = []
  gate.forEach((state, i) => {
    if (state === 0) return
    const [from, closed, last] = [x[i]!, state === 2, found.at(-1)]
    if (last?.to === from && last.closed === closed) last.to = from + size
    else found.push({ from, to: from + size, closed })
  })
  return found
}
