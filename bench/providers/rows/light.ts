/**
 * Light load: trains of 2 to 5 calls, 60 % of a limit of 10 to 60 per minute, with a bucket and with a window of a
 * minute. A limiter that only spaces calls would make the second one wait for seconds although there is room.
 *
 * The added wait is the time from arrival to the accepted attempt. It is compared with a client that knows the
 * provider and sends each call, in order, at the first moment it is accepted, and with one that knows only the
 * limit and keeps it in any minute, without spacing, which is possible without risk.
 */
import {
  FixedWindowProvider,
  SlidingLogProvider,
  TokenBucketProvider,
  seededRandom,
  type ModelProvider,
} from '../../../src/testing/index.ts'
import { percentile, pool, thin, type Case, type ClientName, type Figures } from '../case.ts'
import { loadClient } from '../clients/index.ts'
import { MINUTE, run, summary } from '../run.ts'

const LIMITS = [10, 20, 30, 60]
const HOURS = 1

interface Light {
  rpm: number
  train: number
  regular: boolean
  window: boolean
}

export function lightCases(): Case[] {
  const cases: Case[] = []
  for (const regular of [true, false]) {
    for (const window of [false, true]) {
      for (const rpm of LIMITS) {
        for (const train of [2, 3, 4, 5]) {
          const kind = window ? 'window' : 'bucket'
          const how = regular ? 'regular' : 'random'
          cases.push({
            id: `light/${how}/${kind}/${rpm}/${train}`,
            section: 'light',
            title: `${kind} of ${rpm}, ${how} trains of ${train}`,
            clients: ['llmiter'],
            quick: train === 5 || rpm === 10,
            run: (client, seed) => lightRun({ rpm, train, regular, window }, client, seed),
          })
        }
      }
    }
  }
  return cases
}

async function lightRun(light: Light, clientName: ClientName, seed: number): Promise<Figures> {
  const { rpm, window } = light
  const times = trains(light, seed)
  const make = await loadClient(clientName)
  const provider = (phaseMs: number): ModelProvider =>
    window
      ? new FixedWindowProvider({ requestsPerMinute: rpm, phaseMs, retryAfter: 'none' })
      : new TokenBucketProvider({ requestsPerMinute: rpm, retryAfter: 'none' })
  let phase = 0
  const ran = await run({
    seed,
    minutes: HOURS * 60,
    jitterMs: 50,
    workload: times,
    provider: (phaseMs) => provider((phase = phaseMs)),
    client: (world) => make(world, { toldRpm: rpm }),
  })
  const safe = new SlidingLogProvider({ requestsPerMinute: rpm })
  const best = {
    counts: {},
    samples: { bestMs: thin(knowing(provider(phase), times)), safeMs: thin(knowing(safe, times)) },
  }
  return pool([summary(ran, false), best])
}

function trains({ rpm, train, regular }: Light, seed: number): number[] {
  const random = seededRandom(seed * 1000 + 3)
  const every = train / (0.6 * (rpm / MINUTE))
  const times: number[] = []
  const gap = () => (regular ? every : -Math.log(1 - random()) * every)
  for (let t = random() * every; t < HOURS * 60 * MINUTE; t += gap()) {
    for (let i = 0; i < train; i++) times.push(t)
  }
  return times
}

/** The waits of a client with full knowledge. */
function knowing(provider: ModelProvider, times: readonly number[]): number[] {
  let now = 0
  return times.map((at) => {
    now = Math.max(now, at)
    for (let wait = provider.waitMs(now); wait > 0; wait = provider.waitMs(now)) now += wait
    provider.ask(now)
    return now - at
  })
}

export const addedWait = (pooled: Figures) => inSeconds(percentile(pooled.samples['waitMs'], 0.95))

export const bestWait = (pooled: Figures) => inSeconds(percentile(pooled.samples['bestMs'], 0.95))

export const safeWait = (pooled: Figures) => inSeconds(percentile(pooled.samples['safeMs'], 0.95))

export const aboveSafe = (pooled: Figures) => {
  const safe = safeWait(pooled)
  return safe === undefined ? undefined : addedWait(pooled)! - safe
}

const inSeconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1000)
