/**
 * Three special rows: a quota in addition to a rate, eager pacing with headers, and ten tenants of which one
 * floods the queue.
 *
 * - **Quota**: 10 a minute and 250 a day, 200 calls at once: the time until the last is accepted. A limiter that
 *   also paces the quota needs 19 hours.
 * - **Eager**: a bucket of a minute C and a backlog N, headers with every answer: the time in multiples of (N −
 *   C)/r.
 * - **Fairness**: one tenant has a backlog, nine send at 80 % of their tenth (Poisson): the p95 wait of each,
 *   compared with its wait alone at a tenth of the limit.
 */
import { TokenBucketProvider, seededRandom } from '../../../src/testing/index.ts'
import { percentile, pool, type Case, type ClientName, type Figures } from '../case.ts'
import { loadClient } from '../clients/index.ts'
import { RPM } from '../models.ts'
import { MINUTE, run, summary } from '../run.ts'

export function specialCases(): Case[] {
  const base = { clients: ['llmiter'] as const, quick: true, section: 'special' }
  return [
    {
      ...base,
      id: 'quota',
      title: '10 a minute and 250 a day, 200 calls',
      run: (client, seed) =>
        batch(client, seed, 200, 10, { limiter: { requestsPerDay: 250 } }, (ms) => ({
          minutes: ms / MINUTE,
        })),
    },
    ...[3, 6].map((times): Case => {
      const calls = times * RPM
      return {
        ...base,
        id: `eager/${times}`,
        title: `eager, headers, a bucket of a minute, ${calls} calls`,
        run: (client, seed) =>
          batch(client, seed, calls, RPM, { limiter: { pacing: 'eager' }, headers: true }, (ms) => ({
            timesBest: ms / (((calls - RPM) / RPM) * MINUTE),
          })),
      }
    }),
    { ...base, section: 'fairness', id: 'fairness', title: 'nine tenants beside a flood', run: fairnessRun },
  ]
}

interface Batch {
  limiter: object
  headers?: boolean
}

async function batch(
  clientName: ClientName,
  seed: number,
  calls: number,
  rpm: number,
  { limiter, headers = false }: Batch,
  measure: (lastMs: number) => Record<string, number>,
): Promise<Figures> {
  const make = await loadClient(clientName)
  const ran = await run({
    seed,
    minutes: 60,
    jitterMs: 50,
    headers,
    workload: Array<number>(calls).fill(0),
    provider: () => new TokenBucketProvider({ requestsPerMinute: rpm, retryAfter: 'none' }),
    client: (world) => make(world, { toldRpm: rpm, limiter }),
  })
  const measured = Object.entries(measure(ran.world.admittedAt.at(-1)!)).map(([name, one]) => [name, [one]])
  const samples = Object.fromEntries(measured) as Record<string, number[]>
  return pool([
    { ...summary(ran, false), samples: {} },
    { counts: {}, samples },
  ])
}

const TENANTS = 10
const FAIR_MINUTES = 30

async function fairnessRun(clientName: ClientName, seed: number): Promise<Figures> {
  const share = RPM / TENANTS
  const random = seededRandom(seed * 1000 + 3)
  const events: { at: number; tenant: string }[] = []
  for (let i = 1; i < TENANTS; i++) {
    const gap = () => (-Math.log(1 - random()) * MINUTE) / (0.8 * share)
    for (let t = gap(); t < FAIR_MINUTES * MINUTE; t += gap()) events.push({ at: t, tenant: `tenant-${i}` })
  }
  // The flood arrives once a minute, with twice the calls that would keep the limit busy alone.
  for (let t = 0; t < FAIR_MINUTES; t++) {
    for (let i = 0; i < 2 * RPM; i++) events.push({ at: t * MINUTE, tenant: 'flood' })
  }
  events.sort((a, b) => a.at - b.at)
  const together = await fairOne(clientName, seed, RPM, events)
  const worst: number[] = []
  for (let i = 1; i < TENANTS; i++) {
    const tenant = `tenant-${i}`
    const alone = await fairOne(
      clientName,
      seed,
      share,
      events.filter((event) => event.tenant === tenant),
    )
    const [beside, quiet] = [together, alone].map((waits) => percentile(waits.get(tenant), 0.95)!)
    worst.push(beside! / quiet!)
  }
  return {
    counts: {},
    samples: {
      fairRatio: worst,
      waitMs: [...together].flatMap(([tenant, waits]) => (tenant === 'flood' ? [] : waits)),
    },
  }
}

async function fairOne(
  clientName: ClientName,
  seed: number,
  rpm: number,
  events: readonly { at: number; tenant: string }[],
): Promise<Map<string, number[]>> {
  const make = await loadClient(clientName)
  const ran = await run({
    seed,
    minutes: FAIR_MINUTES,
    jitterMs: 50,
    patient: false,
    workload: events.map(({ at }) => at),
    describe: (index) => ({ tenant: events[index]!.tenant }),
    provider: () => new TokenBucketProvider({ requestsPerMinute: rpm, retryAfter: 'none' }),
    client: (world) => make(world, { toldRpm: rpm }),
  })
  const waits = new Map<string, number[]>()
  for (const { tenant, sentAt, at, admissions } of ran.calls) {
    if (admissions > 0) waits.set(tenant!, [...(waits.get(tenant!) ?? []), sentAt - at])
  }
  return waits
}

export const worst = (name: string) => (pooled: Figures) => percentile(pooled.samples[name], 1)
