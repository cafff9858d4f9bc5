// Simulates the same calls with the best possible client, which knows the provider's internal state.

import { play } from '../../testing/optimum.ts'
import { costOf, type JobPlan, providerOf } from './plan.ts'
import type { PlannedLimits } from './providers.ts'
import type { Ran } from './run.ts'

/** Undefined if one of the calls can never be accepted. */
export function best(plan: JobPlan, tier: PlannedLimits): Ran | undefined {
  const { jobs, sizes } = plan
  const arrivals = jobs.map((job) => ({
    at: job.at,
    call: { ...costOf(sizes, job), serviceMs: job.serviceMs },
  }))
  const waitsMs: number[] = []
  let endMs = 0
  for (const at of play(providerOf(plan, tier), arrivals)) {
    const job = jobs[waitsMs.length]!
    endMs = Math.max(endMs, at + job.serviceMs)
    waitsMs.push(at - job.at)
  }
  const calls = jobs.length
  if (waitsMs.length < calls) return undefined
  return {
    ...{ client: 'optimum', tier, calls, done: calls, lost: 0, refused: 0, endMs },
    waitsMs: waitsMs.sort((a, b) => a - b),
    records: [],
  }
}
