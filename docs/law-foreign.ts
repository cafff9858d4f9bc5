/**
 * Draws docs/law-foreign.svg: providers with other rules than the bench's own models, with the earlier law (before
 * refusals were tested statistically and waits used as evidence) and with today's.
 *
 *     node docs/law-foreign.ts                      today's law, next to the earlier one from law-before.json
 *     node docs/law-foreign.ts --record FILE        writes law-before.json, with the limiter of FILE (an
 *     src/index.ts)
 *
 * The batches are those of the bench, with one of its seeds.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { BucketRateLimiter } from '../src/index.ts'
import { send } from '../bench/providers/clients/llmiter.ts'
import { RPM } from '../bench/providers/models.ts'
import { foreign } from '../bench/providers/rows/foreign.ts'
import { run } from '../bench/providers/run.ts'
import { text } from '../src/cli/page/plot.ts'
import { Chart, style } from './chart.ts'
import { save } from './svg.ts'

const SEED = 5
const BIN_S = 5
const BEFORE = new URL('law-before.json', import.meta.url)
/** The maximum time that is drawn. */
const MINUTES = 20

/**
 * What a limiter did with a batch: how many calls were accepted in each bin, and the seconds in which some were
 * refused.
 */
interface Trace {
  accepted: number[]
  refusedS: number[]
  refused: number
  /** When the last call was accepted. Undefined if that is later than the drawn time. */
  doneS?: number
}

const ROWS = [
  { name: 'nginx-503', title: 'nginx, no burst, 503', minutes: 4, perSecond: 10 },
  { name: 'noise-1', title: '1 % refused by chance', minutes: 4, perSecond: 100 },
  { name: 'wait-constant', title: 'Retry-After: 60 on each refusal', minutes: 12, perSecond: 10 },
  { name: 'growth', title: 'growth × 2 a minute', minutes: 16, perSecond: 10 },
]

async function trace(name: string, Limiter: typeof BucketRateLimiter): Promise<Trace> {
  const { make, calls, told = 1, jitterMs = 50, rpm = RPM } = foreign[name]!
  // The limit of the noise provider is ten times the bench's limit, and is drawn completely.
  const requestsPerMinute = name === 'noise-1' ? 10 * RPM : rpm * told
  const { world } = await run({
    seed: SEED,
    minutes: MINUTES,
    jitterMs,
    workload: Array<number>(name === 'noise-1' ? 4 * calls : calls).fill(0),
    patient: false,
    provider: (phaseMs) => make(SEED, phaseMs),
    client(world) {
      const limiter = new Limiter({ name: 'law', clock: world.clock, requestsPerMinute })
      return { call: (call) => limiter.run(() => send(world, call)), stop: () => limiter.stop() }
    },
  })
  const accepted = Array<number>((MINUTES * 60) / BIN_S).fill(0)
  for (const at of world.admittedAt) accepted[Math.floor(at / 1000 / BIN_S)]!++
  const refusedS = [...new Set(world.refusedAt.map((at) => Math.floor(at / 1000)))]
  const all = world.admittedAt.length === (name === 'noise-1' ? 4 * calls : calls)
  const doneS = Math.round(world.admittedAt.at(-1)! / 1000)
  return { accepted, refusedS, refused: world.refusedAt.length, ...(all && { doneS }) }
}

async function traces(Limiter: typeof BucketRateLimiter): Promise<Record<string, Trace>> {
  const all: Record<string, Trace> = {}
  for (const { name } of ROWS) all[name] = await trace(name, Limiter)
  return all
}

const timesOf = ({ accepted }: Trace) =>
  accepted.flatMap((count, bin) =>
    Array.from({ length: count }, (_, i) => 1000 * BIN_S * (bin + (i + 0.5) / count)),
  )

async function draw(): Promise<void> {
  const before = JSON.parse(readFileSync(BEFORE, 'utf8')) as Record<string, Trace>
  const today = await traces(BucketRateLimiter)
  const body: string[] = []
  const [width, height, pitchX, pitchY] = [340, 70, 386, 128]
  for (const [row, { name, title, minutes, perSecond }] of ROWS.entries()) {
    for (const [column, traced] of [before[name]!, today[name]!].entries()) {
      const [x, y] = [38 + column * pitchX, 62 + row * pitchY]
      const chart = new Chart({ x, y, width, height, from: 0, to: minutes * 60, top: 1.4 * perSecond })
      const { doneS, refused } = traced
      const done = doneS === undefined ? 'not done' : `done after ${doneS} s`
      chart.title(title, `${done}, ${refused.toLocaleString('en')} refused`)
      chart.rate(timesOf(traced), BIN_S)
      if (name !== 'growth') chart.allowed([{ fromS: 0, perSecond }])
      chart.refusals(traced.refusedS.map((s) => 1000 * s))
      const ticks = Array.from({ length: 5 }, (_, i) => (i * minutes) / 4)
      chart.axes(
        Object.fromEntries(ticks.map((m) => [60 * m, m === minutes ? `${m} min` : `${m}`])),
        column === 0 ? { 0: '0', [perSecond]: `${perSecond}` } : {},
      )
      body.push(...chart.body)
    }
  }
  body.push(text(38, 20, 'before', 'strong'), text(38 + pitchX, 20, 'today', 'strong'))
  body.push(text(100, 20, 'accepted a second', 'blue'), text(225, 20, '- - the limit', 'green'))
  body.push(text(310, 20, '| refused', 'red'))
  const title = 'Four laws that are not those of the models, before and today'
  save('law-foreign.svg', { width: 800, height: 62 + ROWS.length * pitchY - 20, title, style, body })
}

const { record } = parseArgs({ options: { record: { type: 'string' } } }).values
if (record === undefined) await draw()
else {
  const { BucketRateLimiter: Earlier } = (await import(pathToFileURL(record).href)) as {
    BucketRateLimiter: typeof BucketRateLimiter
  }
  const lines = Object.entries(await traces(Earlier)).map(([name, one]) => `"${name}":${JSON.stringify(one)}`)
  writeFileSync(BEFORE, `{${lines.join(',\n')}}\n`)
}
