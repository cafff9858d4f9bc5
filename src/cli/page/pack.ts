// Compresses the points of a log for a page: most values equal the previous one, and times increase by one.
// Unknown values become null, because JSON has no NaN.

import type { Columns, LimitColumn } from './columns.ts'

/** The values, or each value followed by its number of repetitions. */
type PackedList = readonly number[] | { runs: number[] }

export type PackedColumns = Pick<Columns, 'name' | 'size'> & {
  limits: (Pick<LimitColumn, 'of' | 'perMs' | 'label' | 'colour'> & { lists: PackedList[] })[]
  lists: Record<string, PackedList>
}

function pack(values: readonly number[]): PackedList {
  const changes = values.reduce((n, value, i) => (i > 0 && Object.is(value, values[i - 1]) ? n : n + 1), 0)
  if (2 * changes >= values.length) return values
  const runs: number[] = []
  for (const value of values) {
    if (runs.length > 0 && Object.is(runs.at(-2), value)) runs[runs.length - 1]!++
    else runs.push(value, 1)
  }
  return { runs }
}

function unpack(packed: PackedList): number[] {
  if (!('runs' in packed)) return packed.map(known)
  const values: number[] = []
  for (let i = 0; i < packed.runs.length; i += 2)
    for (let left = packed.runs[i + 1]!; left > 0; left--) values.push(known(packed.runs[i]!))
  return values
}

const known = (value: number | null) => value ?? NaN

const LIMIT_LISTS = ['asked', 'free', 'amount'] as const

export function packColumns({ name, size, limits, t, ...lists }: Columns): PackedColumns {
  const steps = t.map((second, i) => second - (t[i - 1] ?? 0))
  return {
    name,
    size,
    limits: limits.map(({ of, perMs, label, colour, ...values }) => ({
      ...{ of, perMs, label, colour },
      lists: LIMIT_LISTS.map((key) => pack(values[key])),
    })),
    lists: Object.fromEntries(Object.entries({ ...lists, t: steps }).map(([key, list]) => [key, pack(list)])),
  }
}

export function unpackColumns({ name, size, limits, lists }: PackedColumns): Columns {
  const found = Object.fromEntries(Object.entries(lists).map(([key, list]) => [key, unpack(list)]))
  let second = 0
  found['t'] = found['t']!.map((step) => (second += step!))
  const unpacked = limits.map(({ lists, ...limit }) => ({
    ...limit,
    ...Object.fromEntries(LIMIT_LISTS.map((key, i) => [key, unpack(lists[i]!)])),
  }))
  return { name, size, ...found, limits: unpacked } as unknown as Columns
}
