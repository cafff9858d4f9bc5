/**
 * Providers with other rules than those of the cross product: strict limiters, random refusals, wrong waits,
 * limits on growth, neighbours, slow limits. A batch of calls arrives at once. The time until the last one is
 * accepted is compared with the optimum, which only a client with full knowledge reaches.
 *
 * Chance has a large effect here, so each case has a hundred seeds, and its tail counts as much as its median.
 */
import {
  AccelerationProvider,
  CombinedProvider,
  ConcurrencyProvider,
  FixedWindowProvider,
  LimitReqProvider,
  NeighbourProvider,
  NoiseProvider,
  OutageProvider,
  ShortQuantumProvider,
  SlidingLogProvider,
  StepChangeProvider,
  TokenBucketProvider,
  WrongWaitProvider,
  type ModelProvider,
  type WrongWaitOptions,
} from '../../../src/testing/index.ts'
import type { LimiterOptions } from '../../../src/index.ts'
import type { Case, ClientName, Figures } from '../case.ts'
import { loadClient } from '../clients/index.ts'
import { RPM } from '../models.ts'
import { MINUTE, run, summary, type RunOptions } from '../run.ts'

interface Foreign {
  title: string
  calls: number
  /** The configured limit, as a multiple of the real one. Default: 1. */
  told?: number
  rpm?: number
  jitterMs?: number
  make(seed: number, phaseMs: number): ModelProvider
  limiter?: Partial<LimiterOptions>
  world?: Pick<RunOptions, 'headers' | 'refusedMs' | 'stalls' | 'describe'>
  /** The duration of the calls at the limit's own pace, if that changes. Default: by `rpm`. */
  pacedMs?: number
  /** The maximum of `timesBest` in the median. */
  goal?: number
  peers?: boolean
  /** The llmiter client. Default: one limiter. */
  client?: ClientName
  /** Where chance is large and a run is cheap: the factor of its seeds in an ablation. */
  seedFactor?: number
  /** When the n-th call arrives. Default: all at once. */
  atMs?(index: number): number
}

const requestsPerMinute = RPM
const second = () => new TokenBucketProvider({ requestsPerMinute, capacityMs: 1000, retryAfter: 'none' })
const minute = (phaseMs: number) =>
  new FixedWindowProvider({ requestsPerMinute, phaseMs, retryAfter: 'none' })
/** Of 3,000 calls, 1,200 go at ten a second and 1,800 at five: 480 s. */
const HALVES = [{ atMs: 120_000, factor: 0.5 }]
const nginx = (status: 429 | 503, burst = 0) => ({
  calls: 300,
  jitterMs: 1,
  make: () => new LimitReqProvider({ requestsPerMinute, status, burst }),
})
const fastNginx = (rpm: number, status: 429 | 503, burst: number) => ({
  calls: 600,
  rpm,
  jitterMs: 1,
  make: () => new LimitReqProvider({ requestsPerMinute: rpm, status, burst }),
})
const noise = (share: number, status: 429 | 503 = 429) => ({
  title: `${100 * share} % refused by chance, ${status}`,
  calls: 3000,
  make: (seed: number) =>
    new NoiseProvider(new TokenBucketProvider({ requestsPerMinute: 10 * RPM }), { share, status, seed }),
  goal: 1.05 * (1 + share),
})
const wrong = (title: string, wait: WrongWaitOptions, told = 1.5) => ({
  title: `${title}, bucket, told × ${told}`,
  calls: 1200,
  told,
  make: () => new WrongWaitProvider(new TokenBucketProvider({ requestsPerMinute, capacityMs: 1000 }), wait),
  goal: 1.3,
})
const wrongWindow = (title: string, wait: WrongWaitOptions) => ({
  ...wrong(title, wait),
  title: `${title}, window of a minute, told × 1.5`,
  make: (_: number, phaseMs: number) =>
    new WrongWaitProvider(new FixedWindowProvider({ requestsPerMinute, phaseMs }), wait),
})
/** Long enough for rules that try higher rates less and less often. */
const lasting = (title: string, make: Foreign['make']): Foreign => ({
  title: `20 minutes: ${title}, told × 2`,
  calls: 20 * RPM,
  told: 2,
  make,
})
const minuteOut = (seed: number) => {
  const fromMs = 30_000 + 1000 * (seed % 7)
  return new OutageProvider(second(), { fromMs, toMs: fromMs + MINUTE, says: 'limited' })
}
const slow = (rpm: number, told: number) => ({
  title: `${rpm} a minute, told × ${told}`,
  calls: 10 * rpm,
  rpm,
  told,
  make: (_: number, phaseMs: number) =>
    new FixedWindowProvider({ requestsPerMinute: rpm, phaseMs, retryAfter: 'none' }),
})

export const foreign: Record<string, Foreign> = {
  'nginx-429': { ...nginx(429), title: 'nginx, burst 0, 429', goal: 1.15, peers: true },
  'nginx-503': { ...nginx(503), title: 'nginx, burst 0, 503', goal: 1.15, peers: true },
  'nginx-429-double': { ...nginx(429), title: 'nginx, burst 0, 429, told × 2', told: 2, goal: 1.6 },
  'nginx-503-double': { ...nginx(503), title: 'nginx, burst 0, 503, told × 2', told: 2, goal: 1.6 },
  'nginx-429-burst': { ...nginx(429, 20), title: 'nginx, burst 20, 429', goal: 1.15 },
  'nginx-503-burst': { ...nginx(503, 20), title: 'nginx, burst 20, 503', goal: 1.15 },
  'nginx-429-burst-double': {
    ...nginx(429, 20),
    title: 'nginx, burst 20, 429, told × 2',
    told: 2,
    goal: 1.6,
  },
  'nginx-503-burst-double': {
    ...nginx(503, 20),
    title: 'nginx, burst 20, 503, told × 2',
    told: 2,
    goal: 1.6,
  },
  'nginx-1200-429': { ...fastNginx(1200, 429, 0), title: 'nginx, 1,200 a minute, 429', goal: 1.15 },
  'nginx-1200-503': { ...fastNginx(1200, 503, 0), title: 'nginx, 1,200 a minute, 503', goal: 1.15 },
  'nginx-3000-fourfold': {
    ...fastNginx(3000, 503, 5),
    title: 'nginx, 3,000 a minute, burst 5, 503, told × 4',
    told: 4,
    goal: 1.6,
  },
  // Calls drift by up to 50 ms on their way: even spacing reaches at most 71 % of a strict limit, one call per 130
  // ms.
  'nginx-far': { ...nginx(503), title: 'nginx, burst 0, 503, J 50', jitterMs: 50, goal: 1.15 / 0.71 },
  'nginx-trains': {
    ...nginx(429),
    title: 'nginx, burst 0, 429, trains of 5 at half of the limit',
    calls: 1500,
    atMs: (index) => 1000 * Math.floor(index / 5),
    pacedMs: 300_000,
    goal: 1.05,
  },
  'noise-0.2': noise(0.002),
  'noise-1': { ...noise(0.01), peers: true },
  'noise-3': noise(0.03),
  'noise-5': noise(0.05),
  'noise-1-503': noise(0.01, 503),
  'noise-5-fast': { ...noise(0.05), title: '5 % refused by chance, 900 a minute', rpm: 900 },
  'noise-1-tenth': {
    title: '1 % refused by chance, bucket of a second, told × 1.1',
    calls: 3000,
    told: 1.1,
    make: (seed) => new NoiseProvider(second(), { share: 0.01, seed }),
    goal: 1.1,
  },
  'noise-1-double': {
    title: '1 % refused by chance, bucket of a second, told × 2',
    calls: 4500,
    rpm: 900,
    told: 2,
    make: (seed) =>
      new NoiseProvider(
        new TokenBucketProvider({ requestsPerMinute: 900, capacityMs: 1000, retryAfter: 'none' }),
        { share: 0.01, seed },
      ),
    goal: 1.1,
  },
  'wait-constant': { ...wrong('waits told as 60 s', { constantMs: 60_000 }), peers: true },
  'wait-fifth': wrong('waits told as a fifth', { factor: 0.2 }),
  'wait-five': wrong('waits told five times too long', { factor: 5 }),
  'wait-five-seconds': wrong('waits told as 5 s', { constantMs: 5000 }, 3),
  'wait-constant-window': wrongWindow('waits told as 60 s', { constantMs: 60_000 }),
  'wait-fifth-window': wrongWindow('waits told as a fifth', { factor: 0.2 }),
  'wait-five-window': wrongWindow('waits told five times too long', { factor: 5 }),
  growth: {
    title: 'growth × 2 a minute from 60',
    calls: 4000,
    make: () => new AccelerationProvider({ requestsPerMinute, floorPerMinute: 60, retryAfter: 'none' }),
    goal: 1.12,
    peers: true,
  },
  'growth-half': {
    title: 'growth × 1.5 a minute from 60',
    calls: 3600,
    make: () =>
      new AccelerationProvider({ requestsPerMinute, floorPerMinute: 60, growth: 1.5, retryAfter: 'none' }),
  },
  'growth-far': {
    title: 'growth × 2 a minute from 30 to 1,200',
    calls: 7200,
    rpm: 1200,
    make: () => new AccelerationProvider({ requestsPerMinute: 1200, floorPerMinute: 30, retryAfter: 'none' }),
  },
  'growth-beside-bucket': {
    title: 'growth beside output tokens',
    calls: 1500,
    make: () =>
      new CombinedProvider([
        new AccelerationProvider({ requestsPerMinute, floorPerMinute: 60, retryAfter: 'none' }),
        new TokenBucketProvider({ outputTokensPerMinute: 30_000, retryAfter: 'none', capacityMs: 1000 }),
      ]),
    limiter: { outputTokensPerMinute: 30_000 },
    world: { describe: () => ({ cost: { outputTokens: 100 }, estimate: { outputTokens: 100 } }) },
  },
  neighbour: {
    title: 'a neighbour takes 60 % every second two minutes',
    calls: 6000,
    make: () => new NeighbourProvider(second(), { requestsPerMinute: 360, spellMs: 120_000 }),
    goal: 1.12,
    peers: true,
  },
  'outage-429': {
    title: 'an outage of a minute told as 429',
    calls: 2400,
    make: minuteOut,
    goal: 1.05,
  },
  'outage-429-double': {
    title: 'an outage of a minute told as 429, told × 2',
    calls: 3000,
    told: 2,
    make: minuteOut,
    goal: 1.15,
  },
  'halves-headers': {
    title: 'halves, and headers say so',
    calls: 3000,
    make: (_, phaseMs) => new StepChangeProvider(minute(phaseMs), { steps: HALVES }),
    world: { headers: true },
    pacedMs: 480_000,
    goal: 1.05,
  },
  unlimited: {
    title: 'nothing known (limits: []), bucket of a second',
    calls: 300,
    make: second,
    limiter: { limits: [] },
    goal: 1.5,
  },
  'unlimited-window': {
    title: 'nothing known (limits: []), window of a minute',
    calls: 300,
    make: (_, phaseMs) => new FixedWindowProvider({ requestsPerMinute: 60, phaseMs, retryAfter: 'none' }),
    limiter: { limits: [] },
  },
  'unlimited-window-600': {
    title: 'nothing known (limits: []), window of a minute, 600',
    calls: 1500,
    make: (_, phaseMs) => new FixedWindowProvider({ requestsPerMinute: 600, phaseMs, retryAfter: 'none' }),
    limiter: { limits: [] },
  },
  'unlimited-nginx': { ...nginx(429), title: 'nothing known, nginx, burst 0, 429', limiter: { limits: [] } },
  'unlimited-nginx-503': {
    ...nginx(503),
    title: 'nothing known, nginx, burst 0, 503',
    limiter: { limits: [] },
  },
  'slow-3': slow(3, 1),
  'slow-3-double': slow(3, 2),
  'slow-10-double': slow(10, 2),
  'slow-60-double': slow(60, 2),
  'slow-20-bucket': {
    title: 'bucket of 20 a minute, told × 2',
    calls: 100,
    rpm: 20,
    told: 2,
    make: () => new TokenBucketProvider({ requestsPerMinute: 20, capacityMs: 1000, retryAfter: 'none' }),
  },
  'slow-refusals': {
    title: 'refusals take 2 s, told × 2',
    calls: 1500,
    told: 2,
    make: second,
    world: { refusedMs: [2000, 4000] },
  },
  stalls: {
    title: 'the client stands still for 4 s every half minute, told × 2',
    calls: 1500,
    told: 2,
    make: second,
    world: { stalls: { everyMs: 30_000, forMs: 4000 } },
    // In 4 of 30 s nothing can be sent.
    pacedMs: (1500 * MINUTE * 30) / (26 * RPM),
    goal: 1.1,
  },
  'long-calls': {
    title: 'calls of a minute, 600 in flight',
    calls: 3000,
    make: second,
    world: { describe: () => ({ serviceMs: MINUTE }) },
    goal: 1.04,
  },
  'double-bucket': { title: 'bucket of a second, told × 2', calls: 3000, told: 2, make: second },
  'double-window': { title: 'window of a minute, told × 2', calls: 6000, told: 2, make: (_, p) => minute(p) },
  'lasting-second': lasting('bucket of a second', second),
  'lasting-minute': lasting(
    'bucket of a minute',
    () => new TokenBucketProvider({ requestsPerMinute, retryAfter: 'none' }),
  ),
  'lasting-exact': lasting(
    'bucket of a minute, exact Retry-After',
    () => new TokenBucketProvider({ requestsPerMinute }),
  ),
  'lasting-window': lasting('window of a minute', (_, phaseMs) => minute(phaseMs)),
  'fivefold-window': {
    title: 'window of a minute, 120, told × 5',
    calls: 1200,
    rpm: 120,
    told: 5,
    make: (_, phaseMs) => new FixedWindowProvider({ requestsPerMinute: 120, phaseMs, retryAfter: 'none' }),
  },
  'second-right': {
    title: 'windows of a second, told as a minute',
    calls: 1500,
    make: (_, phaseMs) => new ShortQuantumProvider({ requestsPerMinute, phaseMs, retryAfter: 'none' }),
  },
  'ten-seconds-double': {
    title: 'windows of 10 s, failures count, told × 2',
    calls: 1500,
    told: 2,
    make: (_, phaseMs) =>
      new ShortQuantumProvider({ requestsPerMinute, quantumMs: 10_000, phaseMs, retryAfter: 'none' }),
  },
  'sliding-double': {
    title: 'sliding log of a minute, failures count, told × 2',
    calls: 2400,
    told: 2,
    make: () => new SlidingLogProvider({ requestsPerMinute }),
  },
  discover: {
    title: 'discover, from five times the limit, bucket of a second',
    calls: 1500,
    told: 5,
    make: second,
    limiter: { discover: true },
  },
  'concurrency-double': {
    title: '10 at once, told 20',
    calls: 1500,
    make: () => new ConcurrencyProvider({ concurrency: 10 }),
    limiter: { limits: [], requestsPerMinute: 10 * RPM, maxConcurrent: 20 },
    world: { describe: () => ({ serviceMs: 1000, cost: { serviceMs: 1000 } }) },
  },
  alone: {
    title: 'five clients that know nothing of each other, each told the whole limit',
    calls: 1500,
    make: () => new TokenBucketProvider({ requestsPerMinute, capacityMs: 1000, retryAfter: 'seconds' }),
    world: { describe: (index) => ({ process: index % 5 }) },
    client: 'alone-5',
    seedFactor: 8,
  },
  'right-bucket': { title: 'bucket of a second, right', calls: 1500, make: second },
  'right-window': { title: 'window of a minute, right', calls: 3000, make: (_, p) => minute(p) },
  'half-bucket': {
    title: 'bucket of a second that halves, nobody tells',
    calls: 6000,
    make: () => new StepChangeProvider(second(), { steps: [{ atMs: 180_000, factor: 0.5 }], told: false }),
  },
  'half-window': {
    title: 'window of a minute that halves, nobody tells',
    calls: 3000,
    make: (_, phaseMs) => new StepChangeProvider(minute(phaseMs), { steps: HALVES, told: false }),
    pacedMs: 480_000,
  },
  outage: {
    title: 'an outage of a minute, 529',
    calls: 1500,
    make: () => new OutageProvider(second(), { fromMs: 30_000, toMs: 90_000 }),
  },
}

export function foreignCases(): Case[] {
  return Object.entries(foreign).map(([name, one]) => ({
    id: `foreign/${name}`,
    section: 'foreign',
    title: one.title,
    clients: one.peers ? ['llmiter', 'sdk-20', 'p-queue', 'aws'] : [one.client ?? 'llmiter'],
    quick: true,
    seeds: { full: 100, quick: 4 },
    ...(one.seedFactor && { seedFactor: one.seedFactor }),
    ...(one.peers && { peerSeeds: { full: 6, quick: 1 } }),
    run: (client, seed) => batch(one, client, seed),
  }))
}

/** A batch that is not finished by then counts as half an hour later than that. */
const HORIZON_MINUTES = 30

async function batch(one: Foreign, clientName: ClientName, seed: number): Promise<Figures> {
  const { calls, told = 1, rpm = RPM, jitterMs = 50, limiter, world } = one
  const { pacedMs = (calls * MINUTE) / rpm, atMs = () => 0 } = one
  const make = await loadClient(clientName)
  let bestMs = 0
  const ran = await run({
    seed,
    minutes: HORIZON_MINUTES,
    jitterMs,
    workload: Array.from({ length: calls }, (_, index) => atMs(index)),
    ...world,
    provider: (phaseMs) => {
      const provider = one.make(seed, phaseMs)
      // The edge of a window and a full bucket depend on luck, so the limit's own pace is sufficient.
      bestMs = Math.max(provider.optimumMs(0, calls, world?.describe?.(0).cost), pacedMs)
      return provider
    },
    client: (it) => make(it, { toldRpm: rpm * told, ...(limiter && { limiter }) }),
  })
  const { counts } = summary(ran, false)
  const lastMs = counts['done'] === calls ? ran.world.admittedAt.at(-1)! : Infinity
  return {
    counts,
    samples: { timesBest: [Math.min(lastMs, (HORIZON_MINUTES + 30) * MINUTE) / bestMs] },
  }
}
