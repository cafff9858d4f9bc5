/**
 * Outages: a provider of 500 requests a minute (and one of 60) refuses all calls for 10 s to 15 min while a
 * backlog waits, or refuses some at random, or does not answer.
 *
 * - **Recovered**: the first moment after the end from which 90 % of the limit is accepted, over the time of 20
 *   tickets (at least 2 s).
 * - **Probes**: attempts during the outage, without its first second, ÷ what the limit would have accepted.
 * - **A black hole**: after 20 s of 529, calls hang for two minutes. The client gives each up after 30 s.
 */
import { OutageProvider, TokenBucketProvider, type OutageOptions } from '../../../src/testing/index.ts'
import { percentile, pool, type Case, type ClientName, type Figures } from '../case.ts'
import { loadClient } from '../clients/index.ts'
import { run, summary, type Ran } from '../run.ts'
import { CLIENTS, SEEDS as PEER_SEEDS } from './peers.ts'

const STARTS_MS = 60_000
const AFTER_MS = 120_000
const SECONDS = [10, 30, 120, 300, 900]

interface Outage extends Omit<OutageOptions, 'fromMs' | 'toMs'> {
  rpm: number
  lastsMs: number
}

export function outageCases(): Case[] {
  const cases: Case[] = []
  const add = (id: string, title: string, outage: Outage, rest: Partial<Case> = {}) =>
    cases.push({
      id: `outage/${id}`,
      section: 'outage',
      title,
      clients: ['llmiter'],
      quick: true,
      seeds: { full: 20, quick: 4 },
      run: (client, seed) => outageRun(outage, client, seed),
      ...rest,
    })
  for (const seconds of SECONDS) {
    add(
      `${seconds}s`,
      `529 for ${seconds} s`,
      { rpm: 500, lastsMs: seconds * 1000 },
      { quick: seconds <= 120 },
    )
  }
  const peers = {
    id: 'peers/outage',
    section: 'peers',
    clients: CLIENTS,
    seeds: PEER_SEEDS,
    quick: false,
  } as const
  add('120s-peers', '529 for 120 s, from 500 a minute', { rpm: 500, lastsMs: 120_000 }, peers)
  add('retry-after', '529 for 120 s, Retry-After 5 s', { rpm: 500, lastsMs: 120_000, retryAfterMs: 5000 })
  add('slow-down', '503 slow_down for 120 s', { rpm: 500, lastsMs: 120_000, says: 'slow down' })
  add('60rpm', '529 for 120 s, 60 a minute', { rpm: 60, lastsMs: 120_000 })
  add('part', '30 % of calls 529 for 300 s', { rpm: 500, lastsMs: 300_000, share: 0.3 })
  add(
    'hole',
    'black hole: 529 for 20 s, then calls hang for 120 s',
    { rpm: 500, lastsMs: 140_000 },
    { run: (client, seed) => holeRun(client, seed) },
  )
  return cases
}

async function outageRun(outage: Outage, clientName: ClientName, seed: number): Promise<Figures> {
  const { rpm, lastsMs, ...says } = outage
  const toMs = STARTS_MS + lastsMs
  const make = await loadClient(clientName)
  let shift = 0
  const ran = await run({
    seed,
    minutes: (toMs + AFTER_MS) / 60_000,
    jitterMs: 50,
    workload: 'backlog',
    provider: (phase) => {
      // So that probes reach the end at a different time with each seed.
      shift = phase / 6
      return new OutageProvider(bucket(rpm), { fromMs: STARTS_MS - shift, toMs: toMs - shift, seed, ...says })
    },
    client: (world) => make(world, { toldRpm: rpm }),
  })
  return outageFigures(ran, outage, STARTS_MS - shift)
}

const bucket = (rpm: number) =>
  new TokenBucketProvider({ requestsPerMinute: rpm, capacityMs: rpm < 100 ? 2000 : 1000, retryAfter: 'none' })

function outageFigures(ran: Ran, { rpm, lastsMs, share = 1 }: Outage, fromMs: number): Figures {
  const { refusedAt, admittedAt } = ran.world
  const toMs = fromMs + lastsMs
  const perMs = rpm / 60_000
  const within = (times: readonly number[], from: number) =>
    times.filter((at) => at >= from && at < toMs).length
  const figures = summary(ran, true)
  if (share < 1) {
    const counts = { through: within(admittedAt, fromMs), couldBe: lastsMs * perMs * (1 - share) }
    return pool([figures, { counts, samples: {} }])
  }
  return pool([
    figures,
    {
      counts: { probes: within(refusedAt, fromMs + 1000), missed: (lastsMs - 1000) * perMs },
      samples: { recoverMs: [recoveredAt(admittedAt, toMs, perMs) - toMs] },
    },
  ])
}

/** From when on `admitted` continues at nine tenths of the rate. */
export function recoveredAt(admitted: readonly number[], after: number, perMs: number): number {
  const span = Math.max(2000, 20 / perMs)
  const enough = Math.floor(0.9 * span * perMs)
  const since = admitted.filter((at) => at >= after)
  for (let i = 0; i + enough < since.length; i++) {
    if (since[i + enough]! - since[i]! <= span) return since[i]!
  }
  return Infinity
}

async function holeRun(clientName: ClientName, seed: number): Promise<Figures> {
  const rpm = 500
  const [fromMs, holeMs, toMs] = [STARTS_MS, STARTS_MS + 20_000, STARTS_MS + 140_000]
  const make = await loadClient(clientName)
  const ran = await run({
    seed,
    minutes: (toMs + AFTER_MS) / 60_000,
    jitterMs: 50,
    workload: 'backlog',
    provider: () =>
      new OutageProvider(new OutageProvider(bucket(rpm), { fromMs: holeMs, toMs, says: 'nothing' }), {
        fromMs,
        toMs: holeMs,
      }),
    client: (world) =>
      make(world, { toldRpm: rpm, limiter: { timeoutMs: 30_000, retry: { attempts: 10, minMs: 100 } } }),
  })
  const { hungAt, admittedAt } = ran.world
  const most = Math.max(
    0,
    ...hungAt.map((at) => hungAt.filter((one) => one >= at && one < at + 10_000).length),
  )
  const recovered = recoveredAt(admittedAt, toMs, rpm / 60_000)
  return pool([
    summary(ran, true),
    { counts: {}, samples: { enteredIn10s: [most], recoverMs: [recovered - toMs] } },
  ])
}

export const recovery = (share: number) => (pooled: Figures) => {
  const value = percentile(pooled.samples['recoverMs'], share)
  return value === undefined ? undefined : value / 1000
}

export const probeShare = ({ counts }: Figures) =>
  counts['missed'] === undefined ? undefined : (100 * counts['probes']!) / counts['missed']

export const mostEntered = ({ samples }: Figures) => percentile(samples['enteredIn10s'], 1)

export const through = ({ counts }: Figures) =>
  counts['couldBe'] === undefined ? undefined : (100 * counts['through']!) / counts['couldBe']
