// Converts the flags of the command to a plan. A flag that is unknown, or has no effect with the others, is an
// error: otherwise the result would look valid although something else was simulated.

import { readClient } from './clients.ts'
import { callsPerMinute, checkFits, type JobPlan } from './plan.ts'
import { checkProvider, FLAG_OF, given, KINDS, type Knobs, type UsageTier } from './providers.ts'
import { readRun } from './replay.ts'
import { readOptions, UsageError } from '../usage.ts'
import { count, duration, list, notNegative, oneOf, percent, positive, whole, wrong } from './values.ts'
import { arrivals, type JobTokens, jobsAt, readWorkload, type Sizes } from './workloads.ts'

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
export const OPTIONS = {
  ...{ provider: text, rpm: text, tpm: text, itpm: text, otpm: text, 'max-concurrent': text },
  ...{ window: text, 'retry-after': text, failures: text, floor: text, burndown: text, steps: text },
  ...{ outage: text, says: text },
  ...{ workload: text, from: text, name: text },
  ...{ 'prompt-tokens': text, 'output-tokens': text, 'max-tokens': text, spread: text },
  ...{ latency: text, jitter: text },
  ...{ clients: text, workers: text, processes: text, store: text, targets: flag },
  ...{ told: text, pacing: text, headers: flag, seed: text },
  ...{ out: text, json: flag, help: flag },
} as const

export type Flags = {
  [K in keyof typeof OPTIONS]?: (typeof OPTIONS)[K] extends typeof flag ? boolean : string
}

const SYNONYMS = {
  '--rpm': 'requestsperminute rate requests rps qpm limit',
  '--tpm': 'tokensperminute tokens',
  '--itpm': 'inputtokensperminute',
  '--otpm': 'outputtokensperminute',
  '--max-concurrent': 'concurrency maxconcurrency',
  '--workers': 'threads parallel parallelism',
  '--workload': 'load traffic jobs calls',
  '--targets': 'pool keys',
  '--out': 'output file',
  '--from': 'log logs',
}

export const readFlags = (args: readonly string[]): Flags =>
  readOptions(args.flatMap(asIs(args)), OPTIONS, SYNONYMS)

/** `-5` in `--rpm -5` is an invalid number, not a flag. */
function asIs(args: readonly string[]) {
  const takesText = (arg: string | undefined) => OPTIONS[arg?.slice(2) as keyof Flags]?.type === 'string'
  return (arg: string, i: number): string[] => {
    if (takesText(arg) && /^-\d/.test(args[i + 1] ?? '')) return [`${arg}=${args[i + 1]}`]
    return /^-\d/.test(arg) && takesText(args[i - 1]) ? [] : [arg]
  }
}

/** Throws a `UsageError` that names the flag, its value and what is allowed. */
export async function readPlan(flags: Flags): Promise<JobPlan> {
  const seed = read(flags, 'seed', whole0) ?? 1
  const provider = oneOf('--provider', flags.provider ?? 'token-bucket', Object.keys(KINDS))
  const tiers = readTiers(flags)
  const knobs = readKnobs(flags, seed)
  for (const tier of tiers) checkProvider(provider, tier, knobs)
  const sizes = readSizes(flags)
  const settings: Omit<JobPlan, keyof Work> = {
    ...{ provider, knobs, tiers, seed, pooled: readTargets(flags, tiers) },
    clients: unique(read(flags, 'clients', (name, value) => list(name, value, readClient)) ?? ['llmiter']),
    workers: read(flags, 'workers', (name, value) => whole(name, value, 1, 10_000)) ?? 50,
    ...readFleet(flags),
    told: read(flags, 'told', readTold) ?? 1,
    pacing: read(flags, 'pacing', (name, value) => oneOf(name, value, PACINGS)) ?? 'smooth',
    headers: flags.headers ?? false,
    jitterMs: read(flags, 'jitter', duration) ?? 50,
  }
  if (settings.pacing === 'eager' && !settings.headers)
    throw new UsageError('--pacing eager uses the remaining amount from headers: it needs --headers')
  const plan: JobPlan = { ...settings, ...(await readWork(flags, settings, sizes)) }
  for (const tier of tiers) checkFits(plan, tier)
  return plan
}

const STORES = ['shared', 'none'] as const
const MOST_PROCESSES = 10_000
const PACINGS = ['smooth', 'eager'] as const

type Read<T> = (name: string, value: string) => T

function read<T>(flags: Flags, name: keyof Flags, readOne: Read<T>): T | undefined {
  const value = flags[name]
  return typeof value === 'string' ? readOne(`--${name}`, value) : undefined
}

const above0: Read<number> = (name, value) => duration(name, value, 1)
const whole0: Read<number> = (name, value) => whole(name, value, 0)
const unique = <T>(values: readonly T[]) => [...new Set(values)]

function readFleet(flags: Flags): Pick<JobPlan, 'processes' | 'store'> {
  const processes = read(flags, 'processes', (name, value) => whole(name, value, 1, MOST_PROCESSES))
  const store = read(flags, 'store', (name, value) => oneOf(name, value, STORES))
  if (processes !== undefined) return { processes, store: store ?? 'shared' }
  if (store !== undefined)
    throw new UsageError(`--store ${store} is how processes share the limit: it needs --processes`)
  return { processes: 1, store: 'none' }
}

/** The tiers as targets of a pool. */
function readTargets({ targets = false, processes, clients }: Flags, tiers: readonly UsageTier[]): boolean {
  if (!targets) return false
  if (tiers.length < 2)
    throw new UsageError(
      '--targets makes a pool of the limits in a list: give several, like --rpm 500,500,1000',
    )
  if (processes !== undefined)
    throw new UsageError('--targets simulates one process: it cannot be used with --processes')
  if (clients !== undefined)
    throw new UsageError('--targets simulates llmiter/pool: it cannot be used with --clients')
  return true
}

/** Lists of the same length are combined into tiers. A single value applies to all tiers. */
function readTiers(flags: Flags): UsageTier[] {
  const amounts = (name: string, value: string) => list(name, value, positive)
  const lists = Object.entries(
    given({
      rpm: read(flags, 'rpm', amounts),
      tpm: read(flags, 'tpm', amounts),
      itpm: read(flags, 'itpm', amounts),
      otpm: read(flags, 'otpm', amounts),
      concurrency: read(flags, 'max-concurrent', (name, value) => list(name, value, whole)),
    }),
  ) as [keyof UsageTier, number[]][]
  const tiers = Math.max(1, ...lists.map(([, values]) => values.length))
  for (const [limit, values] of lists)
    if (values.length !== 1 && values.length !== tiers)
      throw wrong(FLAG_OF[limit], values.join(','), `one limit, or ${tiers} of them as the other limits have`)
  return Array.from({ length: tiers }, (_, i) =>
    Object.fromEntries(lists.map(([limit, values]) => [limit, values[i] ?? values[0]!])),
  )
}

function readKnobs(flags: Flags, seed: number): Knobs {
  const outage = read(flags, 'outage', readOutage)
  const says = read(flags, 'says', (name, value) => oneOf(name, value, SAYS))
  if (says && !outage) throw new UsageError('--says sets the answers of an outage: it needs --outage')
  return given({
    windowMs: read(flags, 'window', above0),
    retryAfter: read(flags, 'retry-after', (name, value) => oneOf(name, value, ['exact', 'seconds', 'none'])),
    failuresCount: read(
      flags,
      'failures',
      (name, value) => oneOf(name, value, ['count', 'free']) === 'count',
    ),
    floor: read(flags, 'floor', positive),
    burndown: read(flags, 'burndown', positive),
    steps: read(flags, 'steps', readSteps),
    outage: outage && {
      ...outage,
      seed,
      ...(says && { says: says === 'slow-down' ? ('slow down' as const) : says }),
    },
  })
}

const SAYS = ['overloaded', 'unavailable', 'slow-down', 'nothing'] as const

function readOutage(name: string, value: string) {
  const [from, long, share, ...more] = value.split(':')
  if (!from || !long || share === '' || more.length > 0)
    throw wrong(name, value, 'when:how long, like 1m:2m, or 1m:2m:30% of the calls')
  const fromMs = duration(name, from)
  const part = share === undefined ? 1 : percent(name, share)
  if (part > 1) throw wrong(name, share!, 'at most 100%')
  return { fromMs, toMs: fromMs + duration(name, long, 1), share: part }
}

function readSteps(name: string, value: string) {
  return list(name, value, (_, step) => {
    const [at, factor, ...more] = step.split(':')
    if (!at || !factor || more.length > 0) throw wrong(name, value, 'when:factor, like 5m:0.5,15m:1')
    return { atMs: duration(name, at), factor: positive(name, factor) }
  })
}

const TOLD: Record<string, number | 'unknown'> = { right: 1, half: 0.5, unknown: 'unknown' }

function readTold(name: string, value: string): number | 'unknown' {
  if (Object.hasOwn(TOLD, value)) return TOLD[value]!
  if (!value.endsWith('x')) throw wrong(name, value, 'right, half, unknown, or a factor like 2x')
  return positive(name, value.slice(0, -1))
}

function readSizes(flags: Flags): Sizes {
  return {
    promptTokens: read(flags, 'prompt-tokens', notNegative) ?? 1200,
    outputTokens: read(flags, 'output-tokens', notNegative) ?? 300,
    latencyMs: read(flags, 'latency', duration) ?? 2000,
    spread: read(flags, 'spread', readSpread) ?? 0.6,
    ...given({ maxTokens: read(flags, 'max-tokens', whole) }),
  }
}

function readSpread(name: string, value: string): number {
  const spread = notNegative(name, value)
  if (spread > 3) throw wrong(name, value, 'from 0 (all alike) to 3')
  return spread
}

type Work = Pick<JobPlan, 'sizes' | 'jobs' | 'work' | 'atOnce'>

async function readWork(
  flags: Flags,
  { provider, tiers, knobs, seed }: Omit<JobPlan, keyof Work>,
  sizes: Sizes,
): Promise<Work> {
  if (flags.from !== undefined && flags.workload !== undefined)
    throw new UsageError('--workload and --from both define the calls: give only one')
  if (flags.from === undefined) {
    if (flags.name !== undefined) throw new UsageError('--name selects a limiter of a log: it needs --from')
    const work = flags.workload ?? 'backlog:1000'
    const workload = readWorkload(work)
    const tokens = {
      input: sizes.promptTokens,
      output: sizes.outputTokens,
      ...given({ most: sizes.maxTokens }),
    }
    // The load is the same for all tiers, so that they can be compared.
    const [tightest] = callsPerMinute(provider, tiers[0]!, knobs, tokens, sizes.latencyMs)
    if (workload.kind === 'poisson' && workload.share !== undefined && tightest!.calls === Infinity)
      throw wrong('--workload', work, 'a rate like poisson:8/s: no limit holds calls of this size')
    const times = arrivals(workload, tightest!.calls, seed)
    if (times.length === 0) throw wrong('--workload', work, 'long enough for one call to come')
    return { work, sizes, jobs: jobsAt(times, sizes, seed), atOnce: workload.kind === 'backlog' }
  }
  const { name, times, tokens, apart } = await readRun(flags.from, flags.name)
  if (tokens) checkTold(flags, apart)
  const { latencyMs, spread } = sizes
  const known = tokens ? { ...meansOf(tokens), latencyMs, spread } : sizes
  const jobs = jobsAt(times, known, seed, tokens)
  return { work: `${count(times.length)} calls of ${name}`, sizes: known, jobs, atOnce: false }
}

function meansOf(tokens: readonly JobTokens[]): Pick<Sizes, 'promptTokens' | 'outputTokens'> {
  const mean = (of: keyof JobTokens) => tokens.reduce((sum, one) => sum + one[of], 0) / tokens.length
  return { promptTokens: mean('input'), outputTokens: mean('output') }
}

/** Without separate limits for input and output, a log reports only total tokens, as reserved. */
function checkTold(flags: Flags, apart: boolean): void {
  for (const name of ['prompt-tokens', 'output-tokens', 'max-tokens'] as const)
    if (flags[name] !== undefined)
      throw new UsageError(`--${name} has no effect with --from: the log contains the tokens of its calls`)
  for (const name of ['itpm', 'otpm'] as const)
    if (flags[name] !== undefined && !apart)
      throw new UsageError(
        `--${name} has no effect with --from: the log contains only total tokens; give --tpm`,
      )
}
