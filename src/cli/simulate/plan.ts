// The plan of a simulation: the checked flags, and the generated calls.

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
  /** At least one. Each is a row of the table for each client. */
  tiers: readonly UsageTier[]
  /** Whether the tiers are also simulated as targets of one pool. */
  pooled: boolean
  sizes: Sizes
  /** In order of arrival. */
  jobs: readonly Job[]
  /** A description of the workload. */
  work: string
  /** Whether all calls arrive at once. Then the report shows how long they take, otherwise how long they wait. */
  atOnce: boolean
  clients: readonly ClientName[]
  /** The number of calls in flight for a client without a queue. */
  workers: number
  processes: number
  /** How processes share the limit: through a store, or by fixed parts. */
  store: 'shared' | 'none'
  /** The limiter's configured limit, as a multiple of the provider's limit. */
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

/** The cost of a call as its provider sees it. */
export function costOf({ maxTokens }: Sizes, { inputTokens, outputTokens }: Job): ProviderCall {
  return { inputTokens, outputTokens, ...(maxTokens !== undefined && { maxOutputTokens: maxTokens }) }
}

export function tokensOf({ maxTokens }: Sizes, { inputTokens, outputTokens }: Job): Tokens {
  return { input: inputTokens, output: outputTokens, ...(maxTokens !== undefined && { most: maxTokens }) }
}

/** How many calls of this size each limit accepts per minute, tightest first. */
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

/** Throws if a call can never be accepted, because its simulation would never end. */
export function checkFits(plan: JobPlan, tier: UsageTier): void {
  const unused = providerOf(plan, tier)
  // During an outage, a provider does not report that a call is too large.
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
