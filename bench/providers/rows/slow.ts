/**
 * Slow limits, configured twice too high. Refusals per 1,000 calls mean little with few calls per hour, so they
 * are counted per hour. A backlog of two hours; steady: share of the limit from the 10th minute on.
 */
import { FixedWindowProvider, TokenBucketProvider } from '../../../src/testing/index.ts'
import { pool, type Case, type ClientName, type Figures } from '../case.ts'
import { loadClient } from '../clients/index.ts'
import { MINUTE, run, summary } from '../run.ts'

const HOURS = 2
const SETTLED_MS = 10 * MINUTE

export function slowCases(): Case[] {
  return [10, 60, 300].flatMap((rpm) =>
    [false, true].map((window): Case => {
      const kind = window ? 'window of 60 s' : 'bucket of two calls'
      return {
        id: `slow/${window ? 'window' : 'bucket'}/${rpm}`,
        section: 'slow',
        title: `${kind}, ${rpm} a minute, told ${2 * rpm}`,
        clients: ['llmiter'],
        quick: true,
        run: (client, seed) => slowRun(rpm, window, client, seed),
      }
    }),
  )
}

async function slowRun(rpm: number, window: boolean, clientName: ClientName, seed: number): Promise<Figures> {
  const make = await loadClient(clientName)
  const ran = await run({
    seed,
    minutes: HOURS * 60,
    jitterMs: 50,
    workload: 'backlog',
    provider: (phaseMs) =>
      window
        ? new FixedWindowProvider({ requestsPerMinute: rpm, phaseMs, retryAfter: 'none' })
        : new TokenBucketProvider({
            requestsPerMinute: rpm,
            capacityMs: (2 * MINUTE) / rpm,
            retryAfter: 'none',
          }),
    client: (world) => make(world, { toldRpm: 2 * rpm }),
  })
  const settled = ran.world.admittedAt.filter((at) => at >= SETTLED_MS).length
  const counts = { hours: HOURS, settled, couldSettle: (rpm * (HOURS * 60 * MINUTE - SETTLED_MS)) / MINUTE }
  return pool([summary(ran, true), { counts, samples: {} }])
}

export const perHour = ({ counts }: Figures) =>
  counts['hours'] === undefined ? undefined : counts['refused']! / counts['hours']

export const settledGoodput = ({ counts }: Figures) =>
  counts['settled'] === undefined ? undefined : (100 * counts['settled']) / counts['couldSettle']!
