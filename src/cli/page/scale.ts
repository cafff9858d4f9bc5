// How high a panel reaches, and where its axis is marked.

import type { Buckets } from './series.ts'
import type { LineName } from './words.ts'

const MINUTES: readonly LineName[] = ['rate', 'limit', 'tokenLimit']

/** The highest value of these lines, as drawn. */
export function highest(buckets: Buckets, names: readonly LineName[]): number {
  let most = 0
  for (const name of names) {
    const per = MINUTES.includes(name) ? 60 : 1
    for (const value of buckets[name]) if (value !== null && value / per > most) most = value / per
  }
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

/** Round values from 0 up to the top, about so many. */
export function ticks(top: number, about: number): number[] {
  const rough = top / about
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((step) => step >= rough)!
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, i) => i * step)
}
