// A job of many calls on a virtual clock.

import { type BatchOptions, runAll } from 'llmiter/batch'
import { rig, steadyClock } from '../helpers.ts'

export type Options = Partial<BatchOptions<number>>

export const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

/** A job that doubles numbers, each within a given time. */
export function job(
  items: Iterable<number> | AsyncIterable<number>,
  options: Options = {},
  ms: (n: number) => number = () => 100,
) {
  const { clock, limiter } = rig({ requestsPerMinute: 600 }, steadyClock())
  const begun: number[] = []
  const double = async (n: number) => {
    begun.push(n)
    await clock.sleep(ms(n))
    if (n < 0) throw new Error(`no ${n}`)
    return 2 * n
  }
  return { clock, limiter, begun, results: runAll(items, double, { limiter, ...options }) }
}
