// The top value of a panel, and the marks on its axis.

import type { Buckets } from './buckets.ts'
import { type LineName, MINUTES } from './labels.ts'

/** The values of a line in the unit of its axis. Values per minute are converted to values per second. */
export function valuesOf(buckets: Buckets, name: LineName): (number | null)[] {
  const values: (number | null)[] = buckets[name]
  return MINUTES.includes(name) ? values.map((value) => value && value / 60) : values
}

/** The highest value of these lines, as drawn. */
function highest(buckets: Buckets, names: readonly LineName[]): number {
  let most = 0
  for (const name of names)
    for (const value of valuesOf(buckets, name)) if (value !== null && value > most) most = value
  return most
}

/** Slightly above the highest value. 1 if there are no values. */
export const topOf = (buckets: Buckets, names: readonly LineName[]) => highest(buckets, names) * 1.06 || 1

/**
 * The top of a panel of rates. A program may request a thousand calls in one second and get twenty. Then the line
 * of requested calls is cut off and labelled with its value, so that the other lines remain readable.
 */
export function paceTop(buckets: Buckets, names: readonly LineName[]): number {
  const others =
    highest(
      buckets,
      names.filter((name) => name !== 'requests'),
    ) * 1.4
  const all = topOf(buckets, names)
  return others > 0 && all > 2 * others ? others : all
}

/** Two of a hundred points may be cut off, so that one burst does not flatten the rest. */
const SHARE = 0.98

/** A top that cuts off the few highest values if they are far above the others. */
export function clippedTop(lists: readonly (readonly (number | null)[])[], least = 0): number {
  const values = lists.flatMap((list) => list.filter((value) => value !== null && value > 0) as number[])
  values.sort((a, b) => a - b)
  const usual = 1.4 * (values[Math.floor(SHARE * (values.length - 1))] ?? 0)
  const all = 1.06 * (values.at(-1) ?? 0)
  return Math.max(least, all > 2 * usual ? usual : all) || 1
}

/** The approximate number of marks on an axis. */
const MARKS = 4

/** Round values from 0 to the top. */
export function ticks(top: number): number[] {
  const rough = top / MARKS
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((step) => step >= rough)!
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, i) => i * step)
}
