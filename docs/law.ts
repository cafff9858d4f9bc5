/**
 * Draws docs/law-*.svg, the pictures of docs/law.md, which show the effect of the law over time.
 *
 *     node docs/law.ts
 *
 * The limiter is the real one, and the providers and the simulated network (delays, refusals, answers) are those
 * of the bench. The same seed gives the same file.
 */
import { BucketRateLimiter, type LimiterOptions } from '../src/index.ts'
import {
  BurndownProvider,
  LeakyBucketProvider,
  OutageProvider,
  TokenBucketProvider,
  type ModelProvider,
  type ProviderCall,
} from '../src/testing/index.ts'
import { send } from '../bench/providers/clients/llmiter.ts'
import { models, RPM } from '../bench/providers/models.ts'
import { run, type RunOptions } from '../bench/providers/run.ts'
import type { Call, World } from '../bench/providers/world.ts'
import { Chart, style } from './chart.ts'
import { path, round, text } from '../src/cli/page/plot.ts'
import { save } from './svg.ts'

const WIDTH = 800
const SEED = 5
const PER_SECOND = RPM / 60

interface Seen {
  world: World
  /** When the gate was not open. */
  shut: { fromS: number; toS: number }[]
  /** The provider's limit at any time, whatever the limiter was configured with. */
  allowed: { fromS: number; perSecond: number }[]
}

const LOOK_MS = 500

async function watch(
  limiter: Partial<LimiterOptions>,
  options: Pick<RunOptions, 'minutes' | 'provider'> & Partial<RunOptions>,
): Promise<Seen> {
  const shut: Seen['shut'] = []
  const allowed: Seen['allowed'] = []
  const { world } = await run({
    seed: SEED,
    jitterMs: 50,
    workload: 'backlog',
    ...options,
    client(world) {
      const gate = new BucketRateLimiter({ name: 'law', clock: world.clock, ...limiter })
      const nowS = () => world.clock.now() / 1000
      gate.on('gate', ({ state }) => {
        if (state === 'closed' && !(shut.at(-1)?.toS === Infinity))
          shut.push({ fromS: nowS(), toS: Infinity })
        if (state === 'open' && shut.length > 0) shut.at(-1)!.toS = nowS()
      })
      look()
      function look() {
        const now = world.clock.now()
        const [limit] = world.provider.limits(now)
        const inCalls = limit?.of === 'requests' ? 1 : TOKENS
        const perSecond = limit ? (1000 * limit.amount) / limit.perMs / inCalls : 0
        if (perSecond !== allowed.at(-1)?.perSecond) allowed.push({ fromS: now / 1000, perSecond })
        world.clock.setTimer(look, LOOK_MS)
      }
      const cost = ({ estimate }: Call) => (estimate ? { cost: { requests: 1, ...estimate } } : undefined)
      return { call: (call) => gate.run(() => send(world, call), cost(call)), stop: () => gate.stop() }
    },
  })
  return { world, shut, allowed }
}

interface Panel {
  title: string
  limiter: Partial<LimiterOptions>
  provider(phaseMs: number): ModelProvider
  describe?: RunOptions['describe']
  /** Set if the provider does not report its current limit. */
  allowed?(admittedAt: readonly number[]): Seen['allowed']
}

/** The cost of a call, the same for all calls, so that a token limit can be drawn in calls. */
const TOKENS = 1000
const tokens = (cost: ProviderCall) => () => ({ cost, estimate: { tokens: TOKENS } })
const twice = (name: string, title: string): Panel => ({
  title,
  limiter: { requestsPerMinute: 2 * RPM },
  provider: models[name]!.make,
})

function panels(): Panel[] {
  return [
    twice('bucket-1s-none', 'Bucket of 1 s'),
    twice('bucket-60s', 'Bucket of 60 s'),
    twice('window-60s', 'Window of 60 s'),
    twice('quantum-10s', 'Windows of 10 s'),
    twice('quantum-1s', 'Windows of 1 s'),
    twice('sliding-60s', 'Sliding log of 60 s'),
    {
      title: 'Leaky bucket of tokens',
      limiter: { tokensPerMinute: 2 * RPM * TOKENS },
      provider: () => new LeakyBucketProvider({ tokensPerMinute: RPM * TOKENS }),
      describe: tokens({ inputTokens: 500, outputTokens: 500 }),
    },
    {
      title: 'Reserve and burn down',
      limiter: { limits: [{ of: 'tokens', amount: 2 * RPM * TOKENS, per: '1m', settle: 'reserve' }] },
      provider: () => new BurndownProvider({ tokensPerMinute: RPM * TOKENS }),
      describe: tokens({ inputTokens: 500, outputTokens: 100, maxOutputTokens: 500 }),
    },
    {
      title: 'Growth × 2 a minute',
      limiter: { requestsPerMinute: RPM },
      provider: models['acceleration']!.make,
      allowed: doubling,
    },
  ]
}

/** Twice the number of calls accepted in the minute before the last one, from 60 per minute up to the limit. */
function doubling(admittedAt: readonly number[]): Seen['allowed'] {
  return Array.from({ length: 60 * MINUTES }, (_, s) => {
    const before = admittedAt.filter((at) => at / 1000 >= s - 120 && at / 1000 < s - 60).length
    return { fromS: s, perSecond: Math.min(PER_SECOND, Math.max(1, before / 30)) }
  })
}

const MINUTES = 6

async function providers(): Promise<void> {
  const body: string[] = []
  const [columns, width, height, pitchX, pitchY] = [3, 224, 84, 258, 152]
  const all = panels()
  for (const [i, panel] of all.entries()) {
    const { title, limiter, provider, describe } = panel
    const { world, allowed } = await watch(limiter, {
      minutes: MINUTES,
      provider,
      ...(describe && { describe }),
    })
    const [column, row] = [i % columns, Math.floor(i / columns)]
    const [x, y] = [34 + column * pitchX, 52 + row * pitchY]
    const chart = new Chart({ x, y, width, height, from: 0, to: MINUTES * 60, top: 15 })
    const refused = world.refusedAt
    chart.title(title, refused.length === 1 ? '1 refused' : `${refused.length} refused`)
    chart.rate(world.admittedAt, 5)
    chart.allowed(panel.allowed?.(world.admittedAt) ?? allowed)
    chart.refusals(refused)
    const last = row === Math.floor((all.length - 1) / columns)
    const minutes = Object.fromEntries(
      [0, 2, 4, 6].map((m) => [m * 60, last ? (m === MINUTES ? `${m} min` : `${m}`) : '']),
    )
    chart.axes(minutes, column === 0 ? { 0: '0', [PER_SECOND]: '10' } : {})
    body.push(...chart.body)
  }
  body.push(text(34, 20, 'accepted a second', 'blue'), text(160, 20, '- - what the provider allows', 'green'))
  body.push(text(345, 20, '| refused', 'red'))
  const rows = Math.ceil(all.length / columns)
  const title = 'A backlog, told twice the limit, on nine model providers'
  save('law-providers.svg', { width: WIDTH, height: 52 + rows * pitchY - 24, title, style, body })
}

/** A cold start: a few calls at once, then from a third of the rate to the whole rate within five seconds. */
async function ramp(): Promise<void> {
  const { world } = await watch(
    { requestsPerMinute: RPM },
    { minutes: 0.25, provider: models['bucket-60s']!.make },
  )
  const chart = new Chart({ x: 44, y: 34, width: 724, height: 150, from: -0.5, to: 12, top: 12 })
  const sent = world.sentAt.map((at) => at / 1000).filter((s) => s < 12)
  const together = sent.filter((s) => s < 0.05).length
  const spaced = sent.slice(together)
  const steps = spaced.map((s, i) => {
    const gap = s - (spaced[i - 1] ?? 0)
    return `${i === 0 ? 'M' : 'L'}${chart.x(s)} ${chart.y(1 / gap)}`
  })
  chart.allowed([{ fromS: -0.5, perSecond: PER_SECOND }])
  chart.body.push(path('rate', steps.join('')))
  const dots = spaced.map((s) => `M${chart.x(s)} ${chart.y(0) - 10}v8`)
  const stack = Array.from({ length: together }, (_, i) => `M${chart.x(0) - 3} ${chart.y(0) - 4 - i * 4}h6`)
  chart.body.push(path('dot', [...stack, ...dots].join('')))
  chart.note(0.1, 2.4, `${together} at once`, 'blue')
  chart.note(6.2, 8.2, 'the rate, from each gap', 'blue')
  chart.note(0, 10.5, 'the limit, 10 a second', 'green')
  chart.note(6.2, 1.3, 'each call', 'blue')
  const seconds = Object.fromEntries([0, 2, 4, 6, 8, 10, 12].map((s) => [s, s === 12 ? '12 s' : `${s}`]))
  chart.axes(seconds, { 0: '0', 5: '5', 10: '10 /s' })
  save('law-ramp.svg', { width: WIDTH, height: 214, title: 'A cold start', style, body: chart.body })
}

async function outage(): Promise<void> {
  const [rpm, downS, upS] = [500, 20.3, 50.3]
  const { world, shut, allowed } = await watch(
    { requestsPerMinute: rpm },
    {
      minutes: 70 / 60,
      provider: () =>
        new OutageProvider(
          new TokenBucketProvider({ requestsPerMinute: rpm, capacityMs: 1000, retryAfter: 'none' }),
          { fromMs: downS * 1000, toMs: upS * 1000, seed: SEED },
        ),
    },
  )
  const chart = new Chart({ x: 44, y: 34, width: 724, height: 150, from: 0, to: 70, top: 12 })
  for (const { fromS, toS } of shut) chart.shade(fromS, Math.min(toS, 70))
  chart.rate(world.admittedAt, 1)
  chart.allowed(allowed)
  chart.refusals(world.refusedAt)
  chart.note((downS + upS) / 2, 10.9, 'the provider is down, the gate is shut', 'middle')
  chart.note((downS + upS) / 2, 1, `${world.refusedAt.length} refused, one probe at a time`, 'red middle')
  const firstAt = world.admittedAt.find((at) => at >= upS * 1000)! / 1000
  chart.note(upS + 0.5, 10.9, `back after ${round(firstAt - upS)} s`, 'blue')
  const seconds = Object.fromEntries(
    [0, 10, 20, 30, 40, 50, 60, 70].map((s) => [s, s === 70 ? '70 s' : `${s}`]),
  )
  chart.axes(seconds, { 0: '0', 5: '5', 10: '10 /s' })
  save('law-outage.svg', { width: WIDTH, height: 214, title: 'An outage of 30 s', style, body: chart.body })
}

async function halved(): Promise<void> {
  const minutes = 24
  const { world, allowed } = await watch(
    { requestsPerMinute: RPM },
    { minutes, provider: models['step-bucket']!.make },
  )
  const chart = new Chart({ x: 44, y: 34, width: 724, height: 150, from: 0, to: minutes * 60, top: 12 })
  chart.rate(world.admittedAt, 10)
  chart.allowed(allowed)
  chart.refusals(world.refusedAt)
  chart.note(310, 9, 'the limit halves, and nobody says so', 'green')
  chart.note(910, 10.7, 'it is back', 'green')
  chart.note(
    310,
    1,
    `${world.refusedAt.length} of ${world.sentAt.length.toLocaleString('en')} refused`,
    'red',
  )
  const ticks = Object.fromEntries([0, 5, 10, 15, 20, 24].map((m) => [m * 60, m === 24 ? '24 min' : `${m}`]))
  chart.axes(ticks, { 0: '0', 5: '5', 10: '10 /s' })
  save('law-halved.svg', {
    width: WIDTH,
    height: 214,
    title: 'A limit that halves, and returns',
    style,
    body: chart.body,
  })
}

await providers()
await ramp()
await outage()
await halved()
