// The points of one limiter, one list per field: the data format of a page and of charts.

/** Fields that are summed over time and over limiters. */
export const COUNTS = [
  ...(['requests', 'issued', 'refused', 'finished', 'failed', 'rejected'] as const),
  ...(['asked', 'used'] as const),
] as const
/** Fields that are summed over limiters, and whose maximum counts over time. */
export const LEVELS = ['waiting', 'parked', 'inFlight'] as const
/** Fields whose last value continues to apply. */
export const HELD = ['rate', 'limit', 'available', 'tokenLimit'] as const
export const WAITS = ['p50', 'p95'] as const

export const GATES = ['open', 'probing', 'closed'] as const

/** One limit of a limiter over time. */
export interface LimitColumn {
  of: string
  /** Such as 'output tokens a minute'. */
  label: string
  colour: string
  perMs: number
  /** What tickets took, per point. */
  asked: number[]
  /** The amount available, the minimum of each point. */
  free: number[]
  /** The amount per `perMs` in use: the configured one, or a lower learned one. */
  amount: number[]
}

type Counted = (typeof COUNTS)[number] | (typeof LEVELS)[number]
type Known = (typeof HELD)[number] | (typeof WAITS)[number]

/** The points with activity. `t` is in whole seconds since the epoch. NaN means unknown. */
export type Columns = {
  name: string
  /** The length of a point in seconds. */
  size: number
  t: number[]
  gate: number[]
  /** The index of the cause that held calls in most seconds of the point, or −1. */
  why: number[]
  /** By how many seconds this cause leads the others. */
  whyS: number[]
  limits: LimitColumn[]
} & Record<Counted | Known, number[]>

/** Points at these times without any activity. */
export function emptyColumns(name: string, size: number, t: number[]): Columns {
  const lists = (keys: readonly string[], value: number) =>
    Object.fromEntries(keys.map((key) => [key, filled(t.length, value)]))
  return {
    ...{ name, size, t, limits: [] },
    ...lists([...COUNTS, ...LEVELS, 'gate', 'whyS'], 0),
    ...lists([...HELD, ...WAITS], NaN),
    ...lists(['why'], -1),
  } as unknown as Columns
}

export const filled = (length: number, value: number) => new Array<number>(length).fill(value)

/** The smaller of two values, either of which may be unknown. */
export const least = (a: number, b: number) => (b < a || Number.isNaN(a) ? b : a)
export const most = (a: number, b: number) => (b > a || Number.isNaN(a) ? b : a)

/** The last known value. */
export const lastOf = (values: readonly number[]) => values.findLast((value) => !Number.isNaN(value))

/** The seconds that a run covers, end exclusive. Undefined for an empty run. */
export function spanOf(all: readonly Columns[]): { from: number; to: number } | undefined {
  const times = all.filter(({ t }) => t.length > 0)
  if (times.length === 0) return undefined
  return {
    from: times.reduce((least, { t }) => Math.min(least, t[0]!), Infinity),
    to: times.reduce((most, { t, size }) => Math.max(most, t.at(-1)! + size), -Infinity),
  }
}
