// How high a panel reaches, and where its axis is marked.

import type { Buckets } from './buckets.ts'
import { type LineName, MINUTES } from './labels.ts'

/** The values of a line in the unit of its axis: rates and limits of a minute become those of a second. */
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

/** A little above the highest value; 1 where there is nothing. */
export const topOf = (buckets: Buckets, names: readonly LineName[]) => highest(buckets, names) * 1.06 || 1

/**
 * The top of a panel of paces. A program may ask for a thousand calls in one second and get twenty: then the line
 * of what was asked is cut off, with its height in words, so that the others can be read.
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

/** Of a hundred points, two may be cut off, so that one burst does not flatten the rest. */
const SHARE = 0.98

/** A top for these values of which the highest few, where they are far above the others, are cut off. */
export function clippedTop(lists: readonly (readonly (number | null)[])[], least = 0): number {
  const values = lists.flatMap((list) => list.filter((value) => value !== null && value > 0) as number[])
  values.sort((a, b) => a - b)
  const usual = 1.4 * (values[Math.floor(SHARE * (values.length - 1))] ?? 0)
  const all = 1.06 * (values.at(-1) ?? 0)
  return Math.max(least, all > 2 * usual ? usual : all) || 1
}

/** So many marks an axis has, about. */
const MARKS = 4

/** Round values from 0 up to the top. */
export function ticks(top: number): number[] {
  const rough = top / MARKS
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((step) => step >= rough)!
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, i) => i * step)
}
