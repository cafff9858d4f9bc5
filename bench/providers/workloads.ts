/**
 * Arrival times: a backlog (calls always wait), a Poisson stream at 80 % of the limit, or trains of bursts at 60 %
 * of it. All are generated in advance from the seed, the same for each client.
 */
import { normal } from '../../src/testing/heavy-tail.ts'
import { poisson } from '../../src/testing/world/poisson.ts'
import { RPM } from './models.ts'

export type Workload = 'backlog' | 'poisson' | 'trains'

/** How many calls of a backlog the client has at any time. */
export const DEPTH = 1000

const perMs = RPM / 60_000

/** Arrival times up to `ms`. For a backlog only the first ones, since another arrives for each that leaves. */
export function arrivals(workload: Workload, ms: number, random: () => number): number[] {
  if (workload === 'backlog') return Array<number>(DEPTH).fill(0)
  if (workload === 'poisson') return [...poisson(0.8 * perMs, ms, random)]
  // Trains of 5 to 45 calls, with a mean of 25.
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
