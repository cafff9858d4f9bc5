// The points of one limiter, field by field: what a page carries, and what is drawn.

/** What is added up, over time and over limiters. */
export const COUNTS = [
  ...(['requests', 'issued', 'refused', 'finished', 'failed', 'rejected'] as const),
  ...(['asked', 'used'] as const),
] as const
/** What is added up over limiters, while over time the highest counts. */
export const LEVELS = ['waiting', 'parked', 'inFlight'] as const
/** What goes on holding while nothing happens. */
export const HELD = ['rate', 'limit', 'available', 'tokenLimit'] as const
export const WAITS = ['p50', 'p95'] as const

export const GATES = ['open', 'probing', 'closed'] as const

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
  free: number[]
  /** The amount in `perMs` that is followed: as configured, or less where less was learned. */
  amount: number[]
}

type Counted = (typeof COUNTS)[number] | (typeof LEVELS)[number]
type Known = (typeof HELD)[number] | (typeof WAITS)[number]

/** The points in which something happened; `t` in whole seconds since the epoch. NaN is what is not known. */
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
} & Record<Counted | Known, number[]>

/** Points at these moments in which nothing happened. */
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

/** Of two values of which either may be unknown. */
export const least = (a: number, b: number) => (b < a || Number.isNaN(a) ? b : a)
export const most = (a: number, b: number) => (b > a || Number.isNaN(a) ? b : a)

/** The last of these values that is known. */
export const lastOf = (values: readonly number[]) => values.findLast((value) => !Number.isNaN(value))

/** The seconds that a run covers, the last one left out; undefined for an empty one. */
export function spanOf(all: readonly Columns[]): { from: number; to: number } | undefined {
  const times = all.filter(({ t }) => t.length > 0)
  if (times.length === 0) return undefined
  return {
    from: times.reduce((least, { t }) => Math.min(least, t[0]!), Infinity),
    to: times.reduce((most, { t, size }) => Math.max(most, t.at(-1)! + size), -Infinity),
  }
}
