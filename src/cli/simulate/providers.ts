// The simulated providers by name, each over its model in `llmiter/testing`: the flags that it supports, and the
// configuration of its limiter.
//
// The limiter is configured with what a user would know from the provider's documentation: the limits, the window
// if it is documented, and how calls are charged.

import {
  AccelerationProvider,
  BurndownProvider,
  ConcurrencyProvider,
  FixedWindowProvider,
  LeakyBucketProvider,
  LimitReqProvider,
  NeighbourProvider,
  NoiseProvider,
  OutageProvider,
  ShortQuantumProvider,
  SlidingLogProvider,
  StepChangeProvider,
  TokenBucketProvider,
  type LimitStep,
  type ModelProvider,
  type OutageOptions,
  type RefusalOptions,
  WrongWaitProvider,
} from 'llmiter/testing'
import { UsageError } from '../usage.ts'

/** The limits of an account. Each is a flag, and a list of values is a list of tiers. */
export interface UsageTier {
  rpm?: number
  tpm?: number
  itpm?: number
  otpm?: number
  concurrency?: number
}

/** The limits of an account, or of each target of a pool. */
export type PlannedLimits = UsageTier | readonly UsageTier[]
export const isPool = (limits: PlannedLimits): limits is readonly UsageTier[] => Array.isArray(limits)

/** How a provider enforces its limits. */
export interface Knobs extends RefusalOptions {
  windowMs?: number
  floor?: number
  burndown?: number
  steps?: readonly LimitStep[]
  outage?: OutageOptions
}

/** The tokens of a call. `most` is its `max_tokens`. */
export interface Tokens {
  input: number
  output: number
  most?: number
}

export interface Kind {
  about: string
  /** The supported limits. All of `needs` must be given, or at least one. */
  limits: readonly (keyof UsageTier)[]
  needs?: keyof UsageTier
  knobs: readonly (keyof Knobs)[]
  make(tier: UsageTier, knobs: Knobs, phaseMs: number): ModelProvider
  /** The tokens that a call is charged, at the start and at the end. */
  reserved(tokens: Tokens): number
  settled(tokens: Tokens, knobs: Knobs): number
  /** What is known of how it counts: its window, if shorter than a minute, or the capacity of its bucket. */
  keeps?(knobs: Knobs): { windowMs?: number; holdsMs?: number }
}

const most = ({ output, most = output }: Tokens) => most
const larger = (tokens: Tokens) => Math.max(tokens.input, most(tokens))
const sum = (tokens: Tokens) => tokens.input + most(tokens)
const used = ({ input, output }: Tokens) => input + output

const REFUSALS = ['retryAfter', 'failuresCount'] as const
const STEPS: readonly LimitStep[] = [
  { atMs: 300_000, factor: 0.5 },
  { atMs: 900_000, factor: 1 },
]
const OUTAGE: OutageOptions = { fromMs: 60_000, toMs: 180_000 }

const bucket = (tier: UsageTier, { windowMs, ...knobs }: Knobs) =>
  new TokenBucketProvider({ ...perMinute(tier), ...refusals(knobs), ...given({ capacityMs: windowMs }) })

const MINUTE_MS = 60_000
const holds = ({ windowMs = MINUTE_MS }: Knobs) => ({ holdsMs: windowMs })

const asBucket = {
  limits: ['rpm', 'tpm', 'itpm', 'otpm'],
  knobs: ['windowMs', 'outage', ...REFUSALS],
  make: bucket,
  reserved: larger,
  settled: larger,
  keeps: holds,
} as const

const asWindow = { limits: ['rpm', 'tpm'], reserved: sum, settled: sum } as const

export const KINDS = {
  'token-bucket': {
    ...asBucket,
    about: 'refills all the time, and --window holds how much (1m); OpenAI, Anthropic',
  },
  'fixed-window': {
    ...asWindow,
    about: 'counts from zero each minute; Azure for tokens, many gateways',
    knobs: ['outage', ...REFUSALS],
    make: (tier, knobs, phaseMs) =>
      new FixedWindowProvider({ ...perMinute(tier), ...refusals(knobs), phaseMs }),
  },
  'short-quantum': {
    ...asWindow,
    about: 'promises a minute and counts in windows of --window (1s); failures count; Azure for requests',
    needs: 'rpm',
    knobs: ['windowMs', 'outage', ...REFUSALS],
    make: (tier, knobs, phaseMs) =>
      new ShortQuantumProvider({
        ...perMinute(tier),
        ...refusals(knobs),
        requestsPerMinute: tier.rpm!,
        phaseMs,
        ...given({ quantumMs: knobs.windowMs }),
      }),
    keeps: ({ windowMs = 1000 }) => ({ windowMs }),
  },
  'sliding-log': {
    ...asWindow,
    about: 'looks back over the last minute; failures count, and no wait is reported; gateways over Redis',
    knobs: ['outage', ...REFUSALS],
    make: (tier, knobs) => new SlidingLogProvider({ ...perMinute(tier), ...refusals(knobs) }),
  },
  'leaky-bucket': {
    about: 'estimates the tokens of a call, and corrects itself when it is over',
    limits: ['tpm'],
    needs: 'tpm',
    knobs: ['windowMs', 'outage', ...REFUSALS],
    make: ({ tpm }, { windowMs, ...knobs }) =>
      new LeakyBucketProvider({
        tokensPerMinute: tpm!,
        ...refusals(knobs),
        ...given({ capacityMs: windowMs }),
      }),
    reserved: sum,
    settled: used,
    keeps: holds,
  },
  burndown: {
    about: 'reserves --max-tokens, and each token of the answer burns several (--burndown, 5); Bedrock',
    limits: ['tpm', 'rpm'],
    needs: 'tpm',
    knobs: ['burndown', 'outage', ...REFUSALS],
    make: (tier, knobs) =>
      new BurndownProvider({
        ...perMinute(tier),
        ...refusals(knobs),
        tokensPerMinute: tier.tpm!,
        ...given({ burndown: knobs.burndown }),
      }),
    reserved: sum,
    settled: ({ input, output }, { burndown = 5 }) => input + burndown * output,
  },
  acceleration: {
    about: 'lets traffic double each minute, from --floor (a tenth of --rpm)',
    limits: ['rpm'],
    needs: 'rpm',
    knobs: ['floor', 'outage', 'retryAfter'],
    make: ({ rpm }, { floor = Math.max(1, rpm! / 10), retryAfter }) =>
      new AccelerationProvider({ requestsPerMinute: rpm!, floorPerMinute: floor, ...given({ retryAfter }) }),
    reserved: used,
    settled: used,
  },
  'step-change': {
    ...asBucket,
    about: 'a token bucket whose limits change by --steps (5m:0.5,15m:1)',
    knobs: ['steps', ...asBucket.knobs],
    make: (tier, { steps = STEPS, ...knobs }) => new StepChangeProvider(bucket(tier, knobs), { steps }),
  },
  outage: {
    ...asBucket,
    about: 'a token bucket that is down for a while, by --outage (1m:2m)',
    make: (tier, knobs) =>
      knobs.outage ? bucket(tier, knobs) : new OutageProvider(bucket(tier, knobs), OUTAGE),
  },
  noise: {
    ...asBucket,
    about: 'a token bucket with one call in a hundred refused by chance; shared capacity',
    make: (tier, knobs) => new NoiseProvider(bucket(tier, knobs), { share: 0.01 }),
  },
  'wrong-wait': {
    ...asBucket,
    about:
      'a token bucket that reports a wait of a minute with each refusal; gateways with a fixed Retry-After',
    knobs: ['windowMs', 'outage', 'failuresCount'],
    make: (tier, knobs) => new WrongWaitProvider(bucket(tier, knobs), { constantMs: MINUTE_MS }),
  },
  neighbour: {
    ...asBucket,
    about: 'a token bucket of which another client takes 60 % of --rpm in every second period of two minutes',
    needs: 'rpm',
    make: (tier, knobs) =>
      new NeighbourProvider(bucket(tier, knobs), {
        requestsPerMinute: 0.6 * tier.rpm!,
        spellMs: 2 * MINUTE_MS,
      }),
  },
  nginx: {
    about: 'accepts one call per 1/--rpm, and answers 503 to early calls; limit_req of nginx',
    limits: ['rpm'],
    needs: 'rpm',
    knobs: ['outage'],
    make: ({ rpm }) => new LimitReqProvider({ requestsPerMinute: rpm! }),
    reserved: used,
    settled: used,
  },
  concurrency: {
    about: 'accepts --max-concurrent calls at once; self-hosted servers',
    limits: ['concurrency'],
    needs: 'concurrency',
    knobs: ['outage'],
    make: ({ concurrency }) => new ConcurrencyProvider({ concurrency: concurrency! }),
    reserved: used,
    settled: used,
  },
} satisfies Record<string, Kind> as Record<string, Kind>

/** Throws a `UsageError` if the flags do not fit this provider. */
export function checkProvider(name: string, tier: UsageTier, knobs: Knobs): void {
  const { limits, needs, knobs: understood } = KINDS[name]!
  const here = `--provider ${name}`
  for (const limit of Object.keys(tier) as (keyof UsageTier)[])
    if (!limits.includes(limit))
      throw new UsageError(`${FLAG_OF[limit]} cannot be used with ${here}, which limits ${flags(limits)}`)
  for (const knob of Object.keys(knobs) as (keyof Knobs)[])
    if (!understood.includes(knob))
      throw new UsageError(`${FLAG_OF[knob]} cannot be used with ${here}, which knows ${flags(understood)}`)
  if (name === 'short-quantum' && (knobs.windowMs ?? 0) > MINUTE_MS)
    throw new UsageError(`--window must be at most 1m with ${here}: it is a part of the minute`)
  if (needs && tier[needs] === undefined) throw new UsageError(`${here} needs ${FLAG_OF[needs]}`)
  if (Object.keys(tier).length === 0) throw new UsageError(`${here} needs a limit: one of ${flags(limits)}`)
}

/** An unused provider. `phaseMs` is the position within its minute, if it counts by minutes. */
export function makeProvider(name: string, tier: UsageTier, knobs: Knobs, phaseMs: number): ModelProvider {
  const provider = KINDS[name]!.make(tier, knobs, phaseMs)
  return knobs.outage ? new OutageProvider(provider, knobs.outage) : provider
}

export const FLAG_OF: Record<keyof UsageTier | keyof Knobs, string> = {
  rpm: '--rpm',
  tpm: '--tpm',
  itpm: '--itpm',
  otpm: '--otpm',
  concurrency: '--max-concurrent',
  windowMs: '--window',
  floor: '--floor',
  burndown: '--burndown',
  steps: '--steps',
  outage: '--outage',
  retryAfter: '--retry-after',
  failuresCount: '--failures',
}

const flags = (names: readonly (keyof UsageTier | keyof Knobs)[]) =>
  names.map((name) => FLAG_OF[name]).join(', ')

const perMinute = ({ rpm, tpm, itpm, otpm }: UsageTier) =>
  given({
    requestsPerMinute: rpm,
    tokensPerMinute: tpm,
    inputTokensPerMinute: itpm,
    outputTokensPerMinute: otpm,
  })

const refusals = ({ retryAfter, failuresCount }: RefusalOptions) => given({ retryAfter, failuresCount })

/** Removes undefined values, so that defaults apply to them. */
export function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const known = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(known) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
