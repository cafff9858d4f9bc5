/**
 * Compares the gateway with @portkey-ai/gateway and with a bare pass-through of `node:http`: CPU per call, calls
 * per second, latency, memory per open stream, start-up time, and 200 calls at once to a provider that allows 600
 * a minute. For ours, also the memory of a waiting call. The other gateway is installed into its own folder when
 * the bench runs. Needs Linux, where each process is pinned to one core. The load and the provider share the other
 * core, which bounds the calls per second of the fast contestants. Exits with 1 if a goal is missed.
 *
 *   --quick   fewer calls and streams: for a quick check, not for publication
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Contestant, contestants, install, NAMES, state } from './gateway/contestants.ts'
import { agent, bodyOf, call, many } from './gateway/load.ts'
import { answers, cpuMsOf, freePort, memoryFile, run } from './gateway/processes.ts'
import { memoryOfStreams, memoryOfWaiting, pace } from './gateway/scenes.ts'
import { exitCodeOf, type Goal, printSection } from './table.ts'

const { quick } = parseArgs({ options: { quick: { type: 'boolean', default: false } } }).values
const WARM = quick ? 1000 : 6000
const CALLS = quick ? 1000 : 6000
const ALONE = quick ? 500 : 3000
const AT_ONCE = 16
const STREAMS = quick ? 100 : 500
const WAITING = quick ? 1000 : 10_000

/** CPU per call in µs, and calls per second. */
interface Throughput {
  readonly cpu: number
  readonly perSecond: number
}

interface Row {
  readonly bootMs: number
  readonly small: Throughput
  readonly large: Throughput
  readonly addedP50: number
  readonly addedP99: number
  /** KiB */
  readonly stream: number | undefined
  readonly waiting: number | undefined
  readonly paced: Awaited<ReturnType<typeof pace>> | undefined
}

const at = (all: number[], share: number) => all[Math.floor(share * all.length)]!

async function measure(contestant: Contestant, upstream: number, direct: number[]): Promise<Row> {
  const { start, env, headers, paced, pacedHeaders } = contestant
  const port = await freePort()
  const begun = performance.now()
  const memory = memoryFile()
  const child = run(0, start(port, upstream), { ...env, ...memory.env })
  child.stdout!.resume()
  const own = headers(upstream)
  const throughput = async (bytes: number): Promise<Throughput> => {
    const [before, from] = [cpuMsOf(child), performance.now()]
    await many(CALLS, AT_ONCE, () => call(port, own, bodyOf(bytes)))
    const ms = performance.now() - from
    return { cpu: (1000 * (cpuMsOf(child) - before)) / CALLS, perSecond: (1000 * CALLS) / ms }
  }
  try {
    await answers(port)
    const bootMs = performance.now() - begun
    await many(WARM, AT_ONCE, () => call(port, own, bodyOf(1000)))
    const small = await throughput(1000)
    const large = await throughput(32_000)
    const took = await many(ALONE, 1, () => call(port, own, bodyOf(1000)))
    const stream = await memoryOfStreams(child, memory.file, port, own, STREAMS).catch(() => undefined)
    child.kill('SIGKILL')
    return {
      ...{ bootMs, small, large, stream },
      addedP50: at(took, 0.5) - at(direct, 0.5),
      addedP99: at(took, 0.99) - at(direct, 0.99),
      waiting: paced && (await memoryOfWaiting(contestant, upstream, WAITING)),
      paced: (paced ?? pacedHeaders) && (await pace(contestant)),
    }
  } finally {
    child.kill('SIGKILL')
  }
}

function goalsOf(rows: ReadonlyMap<string, Row>): Goal[] {
  const [ours, anchor, budget] = [NAMES.OURS, NAMES.ANCHOR, NAMES.WITH_BUDGET].map((name) => rows.get(name)!)
  const times = "times the anchor's"
  const beside = (what: string, of: (row: Row) => number | undefined, bound: Partial<Goal>): Goal => ({
    what,
    measured: (of(ours!) ?? NaN) / (of(anchor!) ?? NaN),
    unit: times,
    ...bound,
  })
  return [
    beside('CPU a call, 1 kB', ({ small }) => small.cpu, { atMost: 0.25 }),
    beside('CPU a call, 32 kB', ({ large }) => large.cpu, { atMost: 0.25 }),
    beside('calls a second, 1 kB', ({ small }) => small.perSecond, { atLeast: 4 }),
    beside('calls a second, 32 kB', ({ large }) => large.perSecond, { atLeast: 4 }),
    beside('added latency, p50', ({ addedP50 }) => addedP50, { atMost: 0.65 }),
    beside('added latency, p99', ({ addedP99 }) => addedP99, { atMost: 0.85 }),
    beside('memory of an open stream', ({ stream }) => stream, { atMost: 0.5 }),
    beside('boot', ({ bootMs }) => bootMs, { atMost: 0.8 }),
    {
      what: 'CPU with a budget',
      measured: (budget!.small.cpu + budget!.large.cpu) / (ours!.small.cpu + ours!.large.cpu),
      atMost: 1.25,
      unit: 'times that without',
    },
    { what: 'memory of a waiting call', measured: ours!.waiting!, atMost: 60, unit: 'KiB' },
    { what: '200 calls at 600 a minute: answered', measured: ours!.paced!.answered, atLeast: 200, unit: '' },
    { what: 'of them refused upstream', measured: ours!.paced!.refused, atMost: 0, unit: '' },
    { what: 'of the optimum', measured: ours!.paced!.percent ?? 0, atLeast: 95, unit: '%' },
  ]
}

install()
const provider = run(1, [join(import.meta.dirname, 'gateway/upstream.ts')])
try {
  const upstream = Number(
    await new Promise((resolve) => provider.stdout!.once('data', (text) => resolve(String(text)))),
  )
  await many(2000, AT_ONCE, () => call(upstream, {}, bodyOf(1000)))
  const direct = await many(ALONE, 1, () => call(upstream, {}, bodyOf(1000)))
  const rows = new Map<string, Row>()
  for (const contestant of contestants) rows.set(contestant.name, await measure(contestant, upstream, direct))
  const goals = goalsOf(rows)
  printSection({
    title: `The gateway, ${CALLS} calls of each size, ${AT_ONCE} at once`,
    columns: [
      'boot ms',
      '1 kB µs',
      '/s',
      '32 kB µs',
      '/s',
      'p50 ms',
      'p99 ms',
      'KiB a stream',
      'a waiting call',
    ],
    rows: [...rows].map(([name, { bootMs, small, large, addedP50, addedP99, stream, waiting }]) => ({
      name,
      cells: [
        ...[bootMs, small.cpu, small.perSecond, large.cpu, large.perSecond].map(Math.round),
        ...[addedP50, addedP99, stream, waiting],
      ],
    })),
    goals: [],
  })
  printSection({
    title: '200 calls at once, at a provider of 600 a minute',
    columns: ['answered', 'refused upstream', '% of the optimum'],
    rows: [...rows].flatMap(([name, { paced }]) =>
      paced ? [{ name, cells: [paced.answered, paced.refused, paced.percent] }] : [],
    ),
    goals,
  })
  process.exitCode = exitCodeOf(goals)
} finally {
  provider.kill('SIGKILL')
  agent.destroy()
  rmSync(state, { recursive: true, force: true })
}
