// What is to be simulated: everything that the flags say, checked, with the calls drawn.

import { type ModelProvider, type ProviderCall, type ProviderDimension, seededRandom } from 'llmiter/testing'
import type { ClientName } from './client.ts'
import {
  FLAG_OF,
  isPool,
  KINDS,
  type PlannedLimits,
  makeProvider,
  type Knobs,
  type UsageTier,
  type Tokens,
} from './providers.ts'
import { SideBySide } from './side-by-side.ts'
import { UsageError } from '../usage.ts'
import { count } from './values.ts'
import type { Job, Sizes } from './workloads.ts'

export interface JobPlan {
  provider: string
  knobs: Knobs
  /** At least one; each is a row of the table for each client. */
  tiers: readonly UsageTier[]
  /** The tiers are targets of one pool, too. */
  pooled: boolean
  sizes: Sizes
  /** In the order in which they come. */
  jobs: readonly Job[]
  /** The workload, for people. */
  work: string
  /** Whether all calls come at once: then the question is how long it takes, else how long one waits. */
  atOnce: boolean
  clients: readonly ClientName[]
  /** How many calls a client without a line has in flight at once. */
  workers: number
  processes: number
  /** How the processes come by the limit: through a store that they share, or each by its part. */
  store: 'shared' | 'none'
  /** So many times the provider's limits is what the limiter is told. */
  told: number | 'unknown'
  pacing: 'smooth' | 'eager'
  headers: boolean
  jitterMs: number
  seed: number
}

export function providerOf({ provider, knobs, seed }: JobPlan, limits: PlannedLimits): ModelProvider {
  const make = (tier: UsageTier) => makeProvider(provider, tier, knobs, 60_000 * seededRandom(seed)())
  return isPool(limits) ? new SideBySide(limits.map(make)) : make(limits)
}

/** A call as its provider sees it. */
export function costOf({ maxTokens }: Sizes, { inputTokens, outputTokens }: Job): ProviderCall {
  return { inputTokens, outputTokens, ...(maxTokens !== undefined && { maxOutputTokens: maxTokens }) }
}

export function tokensOf({ maxTokens }: Sizes, { inputTokens, outputTokens }: Job): Tokens {
  return { input: inputTokens, output: outputTokens, ...(maxTokens !== undefined && { most: maxTokens }) }
}

/** How many calls of this size each limit lets through in a minute, the tightest first. */
export function callsPerMinute(
  provider: string,
  tier: UsageTier,
  knobs: Knobs,
  tokens: Tokens,
  latencyMs: number,
): { limit: keyof UsageTier; calls: number }[] {
  const { rpm, tpm, itpm, otpm, concurrency } = tier
  const settled = KINDS[provider]!.settled(tokens, knobs)
  const all: [keyof UsageTier, number | undefined, number][] = [
    ['rpm', rpm, 1],
    ['tpm', tpm, settled],
    ['itpm', itpm, tokens.input],
    ['otpm', otpm, tokens.output],
    ['concurrency', concurrency, latencyMs / 60_000],
  ]
  return all
    .flatMap(([limit, amount, cost]) => (amount === undefined ? [] : [{ limit, calls: amount / cost }]))
    .sort((a, b) => a.calls - b.calls)
}

/** Throws where a call can never get in: a simulation of it would never end. */
export function checkFits(plan: JobPlan, tier: UsageTier): void {
  const unused = providerOf(plan, tier)
  // In an outage a provider does not say what it would never take.
  const now = plan.knobs.outage?.toMs ?? 0
  for (const job of plan.jobs) {
    const call = costOf(plan.sizes, job)
    if (unused.waitMs(now, call) < Infinity) continue
    const answer = unused.ask(now, call)
    const [requested, of, limit] =
      answer.kind === 'refused' && 'of' in answer
        ? [answer.requested, answer.of, answer.limit]
        : [1, 'requests' as const, 0]
    throw new UsageError(
      `a call that takes ${count(requested)} ${requested === 1 ? of.replace(/s$/, '') : of} can never get in where the limit is ${count(limit)}: ` +
        `raise ${FLAG_OF[LIMIT_OF[of]]}, or make calls smaller (--prompt-tokens, --output-tokens, --max-tokens, --spread 0)`,
    )
  }
}

const LIMIT_OF: Record<ProviderDimension, keyof UsageTier> = {
  requests: 'rpm',
  tokens: 'tpm',
  inputTokens: 'itpm',
  outputTokens: 'otpm',
  concurrency: 'concurrency',
}
