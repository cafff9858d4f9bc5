// Selects which limiter of a run is shown.

import {
  type Columns,
  COUNTS,
  emptyColumns,
  filled,
  HELD,
  LEVELS,
  type LimitColumn,
  most,
  WAITS,
} from './columns.ts'
import { ALL } from './labels.ts'

/** The limiter with this name. Without a name, all of them combined. Empty if no limiter has this name. */
export function pick(all: readonly Columns[], name = ALL): Columns {
  const found = all.find((columns) => columns.name === name)
  if (found) return found
  const chosen = name === ALL ? all : []
  return chosen.length === 1 ? chosen[0]! : together(chosen, name)
}

/** Combines all limiters: calls, levels and limits are summed, and the worst gate state is taken. */
export function together(all: readonly Columns[], name: string): Columns {
  const times = [...new Set(all.flatMap(({ t }) => t))].sort((a, b) => a - b)
  const sum = emptyColumns(name, all[0]?.size ?? 1, times)
  const held = filled(times.length, 0)
  for (const columns of all) {
    let at = 0
    columns.t.forEach((t, i) => {
      while (times[at]! < t) at++
      for (const key of [...COUNTS, ...LEVELS] as const) sum[key][at]! += columns[key][i]!
      sum.gate[at] = Math.max(sum.gate[at]!, columns.gate[i]!)
      for (const key of WAITS) sum[key][at] = most(sum[key][at]!, columns[key][i]!)
      // The cause that holds the most calls.
      if (columns.why[i]! >= 0 && columns.waiting[i]! >= held[at]!) {
        held[at] = columns.waiting[i]!
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
  if (!column) {
    const [asked, free, amount] = [0, NaN, NaN].map((nothing) => filled(sum.t.length, nothing))
    sum.limits.push((column = { ...limit, asked: asked!, free: free!, amount: amount! }))
  }
  const { asked, free, amount } = limit
  let at = 0
  t.forEach((second, i) => {
    while (sum.t[at]! < second) at++
    column.asked[at]! += asked[i]!
  })
  addHeld(column.free, free, t, sum.t)
  addHeld(column.amount, amount, t, sum.t)
}

/** Adds the last known values of one limiter to the sum of the others. */
function addHeld(
  sum: number[],
  values: readonly number[],
  t: readonly number[],
  times: readonly number[],
): void {
  let next = 0
  let held = NaN
  for (let at = 0; at < times.length; at++) {
    if (t[next] === times[at]) held = values[next++]!
    if (!Number.isNaN(held)) sum[at] = Number.isNaN(sum[at]) ? held : sum[at]! + held
  }
}
