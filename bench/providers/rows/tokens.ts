/**
 * Tokens: lognormal prompts and answers, estimated wrongly by up to 60 % either way, with providers that charge in
 * three ways: buckets of input and output, a leaky bucket that corrects itself, and reserve and burn down × 5.
 *
 * - **Goodput**: tokens finally charged from minute 2 on, as a share of the tightest limit × time.
 * - **Excess**: the maximum by which the tokens accepted within 60 s exceed the limit, beyond what the estimates
 *   were too low, in % of the limit. Above 0, the limiter itself has let too much through.
 * - **Large**: the p95 wait of the largest twentieth of the calls ÷ that of all calls, in a Poisson stream at 80
 *   %. It shows whether large calls starve.
 */
import {
  BurndownProvider,
  LeakyBucketProvider,
  TokenBucketProvider,
  seededRandom,
  type ModelProvider,
  type ProviderCall,
} from '../../../src/testing/index.ts'
import { BucketRateLimiter, type LimiterOptions, type Usage } from '../../../src/index.ts'
import { percentile, pool, type Case, type ClientName, type Figures } from '../case.ts'
import { loadClient } from '../clients/index.ts'
import { MINUTE, run, summary, type Ran } from '../run.ts'
import { normal } from '../../../src/testing/heavy-tail.ts'

const MAX_OUTPUT = 1000

interface Kind {
  title: string
  make(): ModelProvider
  options: Partial<LimiterOptions>
  /** The limit that binds, per minute, and what a call finally costs of it. */
  limit: number
  charge(input: number, output: number): number
  of: string
  /** What the provider reserves, as far as a caller can estimate it. */
  guess(input: number, output: number): Record<string, number>
}

const kinds: Record<string, Kind> = {
  buckets: {
    title: 'buckets of input and output',
    make: () =>
      new TokenBucketProvider({
        requestsPerMinute: 600,
        inputTokensPerMinute: 500_000,
        outputTokensPerMinute: 80_000,
        retryAfter: 'none',
      }),
    options: { requestsPerMinute: 600, inputTokensPerMinute: 500_000, outputTokensPerMinute: 80_000 },
    limit: 80_000,
    charge: (_input, output) => output,
    of: 'outputTokens',
    guess: (inputTokens, outputTokens) => ({ inputTokens, outputTokens }),
  },
  leaky: {
    title: 'leaky bucket, corrected at the end',
    make: () => new LeakyBucketProvider({ tokensPerMinute: 400_000 }),
    options: { tokensPerMinute: 400_000 },
    limit: 400_000,
    charge: (input, output) => input + output,
    of: 'tokens',
    guess: (input) => ({ tokens: input + MAX_OUTPUT }),
  },
  burndown: {
    title: 'reserve and burn down × 5',
    make: () => new BurndownProvider({ tokensPerMinute: 600_000 }),
    options: { tokensPerMinute: 600_000 },
    limit: 600_000,
    charge: (input, output) => input + 5 * output,
    of: 'tokens',
    guess: (input) => ({ tokens: input + MAX_OUTPUT }),
  },
}

export function tokenCases(): Case[] {
  return Object.entries(kinds).flatMap(([name, kind]) =>
    (['backlog', 'poisson'] as const).map((workload): Case => ({
      id: `tokens/${name}/${workload}`,
      section: 'tokens',
      title: `${kind.title}, ${workload}`,
      clients: ['llmiter'],
      quick: true,
      run: (client, seed) => tokensRun(kind, workload, client, seed),
    })),
  )
}

async function tokensRun(
  kind: Kind,
  workload: 'backlog' | 'poisson',
  clientName: ClientName,
  seed: number,
): Promise<Figures> {
  const random = seededRandom(seed * 1000 + 5)
  const lognormal = (median: number, sigma: number) => Math.ceil(median * Math.exp(sigma * normal(random)))
  const wrong = (tokens: number) => Math.ceil(tokens * (0.4 + 1.2 * random()))
  const describe = () => {
    const inputTokens = Math.min(30_000, lognormal(800, 1))
    const outputTokens = Math.min(MAX_OUTPUT, lognormal(200, 0.8))
    const cost: ProviderCall = { inputTokens, outputTokens, maxOutputTokens: MAX_OUTPUT }
    return { cost, estimate: kind.guess(wrong(inputTokens), wrong(outputTokens)) }
  }
  const mean = meanCharge(kind, describe)
  const minutes = 20
  const perMs = kind.limit / mean / MINUTE
  const times: number[] = []
  for (let t = 0; t < minutes * MINUTE; t += -Math.log(1 - random()) / (0.8 * perMs)) times.push(t)
  const make = await loadClient(clientName)
  const ran = await run({
    seed,
    minutes,
    jitterMs: 50,
    workload: workload === 'backlog' ? 'backlog' : times,
    describe,
    provider: () => kind.make(),
    client: (world) =>
      make(world, {
        toldRpm: 0,
        limiter: { limits: [], ...kind.options },
        used: (body) => usedOf(kind, body),
      }),
  })
  return pool([summary(ran, workload === 'backlog'), figures(kind, ran, workload), await oversized(kind)])
}

function usedOf({ of, charge }: Kind, body: unknown): Usage | undefined {
  const { usage } = body as { usage: { input_tokens: number; output_tokens: number } }
  if (of !== 'tokens') return { inputTokens: usage.input_tokens, outputTokens: usage.output_tokens }
  return { tokens: charge(usage.input_tokens, usage.output_tokens) }
}

function meanCharge({ charge }: Kind, describe: () => { cost: ProviderCall }): number {
  let sum = 0
  for (let i = 0; i < 5000; i++) {
    const { cost } = describe()
    sum += charge(cost.inputTokens!, cost.outputTokens!)
  }
  return sum / 5000
}

function figures({ limit, charge, of }: Kind, { world, calls, endMs }: Ran, workload: string): Figures {
  const charged = world.admitted.map(({ admittedAt, cost, estimate }) => {
    const real = charge(cost!.inputTokens!, cost!.outputTokens!)
    return { at: admittedAt, real, low: Math.max(0, real - estimate![of]!) }
  })
  charged.sort((a, b) => a.at - b.at)
  let [first, inside, worst] = [0, 0, -Infinity]
  for (const { at, real, low } of charged) {
    inside += real - low
    for (; charged[first]!.at <= at - MINUTE; first++) inside -= charged[first]!.real - charged[first]!.low
    worst = Math.max(worst, inside - limit)
  }
  const late = charged.filter(({ at }) => at >= 2 * MINUTE && at < endMs)
  const counts = {
    tokens: late.reduce((sum, { real }) => sum + real, 0),
    allowedTokens: (limit * (endMs - 2 * MINUTE)) / MINUTE,
  }
  if (workload === 'backlog') return { counts, samples: { excessPercent: [(100 * worst) / limit] } }
  const through = calls.filter(({ admissions }) => admissions > 0)
  const wait = ({ sentAt, at }: (typeof calls)[number]) => sentAt - at
  const size = (call: (typeof calls)[number]) => charge(call.cost!.inputTokens!, call.cost!.outputTokens!)
  const large = percentile(through.map(size), 0.95)!
  return {
    counts: {},
    samples: {
      excessPercent: [(100 * worst) / limit],
      largeWaitMs: through.filter((call) => size(call) >= large).map(wait),
    },
  }
}

/** How long it takes to reject a call that can never fit. */
async function oversized({ options, of, limit }: Kind): Promise<Figures> {
  const limiter = new BucketRateLimiter({ name: 'oversized', ...options })
  const since = performance.now()
  const code = await limiter.run(() => 'sent', { cost: { [of]: limit + 1 } }).catch((error) => error.code)
  const late = performance.now() - since
  return { counts: {}, samples: { oversizedMs: [code === 'sent' ? Infinity : late] } }
}

export const tokenGoodput = ({ counts }: Figures) =>
  counts['tokens'] === undefined ? undefined : (100 * counts['tokens']) / counts['allowedTokens']!

export const largeOverAll = ({ samples }: Figures) => {
  const large = percentile(samples['largeWaitMs'], 0.95)
  // Waits below a tenth of a second do not count.
  const floor = (ms: number) => Math.max(ms, 100)
  return large === undefined ? undefined : floor(large) / floor(percentile(samples['waitMs'], 0.95)!)
}
