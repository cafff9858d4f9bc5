/**
 * When calls come: a backlog (somebody always waits), a Poisson stream at 80 % of the limit, or trains of bursts
 * at 60 % of it; all drawn beforehand from the seed, the same for each client.
 */
import { normal } from '../../src/testing/heavy-tail.ts'
import { poisson } from '../../src/testing/world/poisson.ts'
import { RPM } from './models.ts'

export type Workload = 'backlog' | 'poisson' | 'trains'

/** How many calls of a backlog are with the client at any time. */
export const DEPTH = 1000

const perMs = RPM / 60_000

/** Moments of arrival up to `ms`; of a backlog only the first, since one comes for each that goes. */
export function arrivals(workload: Workload, ms: number, random: () => number): number[] {
  if (workload === 'backlog') return Array<number>(DEPTH).fill(0)
  if (workload === 'poisson') return [...poisson(0.8 * perMs, ms, random)]
  // Trains of 5 to 45 calls, 25 in the mean.
  const times: number[] = []
  for (const at of poisson((0.6 * perMs) / 25, ms, random)) {
    const size = 5 + Math.floor(random() * 41)
    for (let i = 0; i < size; i++) times.push(at)
  }
  return times
}

export function serviceMs(random: () => number): number {
  return Math.min(120_000, 800 * Math.exp(0.8 * normal(random)))
}
