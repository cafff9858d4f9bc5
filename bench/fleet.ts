/**
 * Measures many processes with one limit: `npm run bench:fleet`, with a real Redis, real processes, and an HTTP
 * provider that counts. `--quick` measures for a third of the time.
 *
 * A second part uses members in one process with their own connections: how long calls wait below the limit,
 * compared with alternatives to llmiter, and how a fleet behaves during failures.
 *
 * The window is ten seconds, so that a run contains several. The maximum usable share is then W ÷ (W + J) = 99.5 %
 * of n. "Used" is given relative to the allowed pace, and to n.
 */
import { Redis } from 'ioredis'
import { startRedis } from '../test/support/redis.ts'
import { between, mostIn } from './fleet/count.ts'
import { startFleet } from './fleet/fleet.ts'
import { PEERS } from './fleet/peers.ts'
import { cutOff, frozen, loaded, nearAndFar, shortLived, slowJoining } from './fleet/scenes.ts'
import { exitCodeOf, type Goal, printSection } from './table.ts'

const quick = process.argv.includes('--quick')
const WINDOW = 10_000
const AMOUNT = 600
const PACE = (AMOUNT / (WINDOW + 50)) * 1000
const RUN_MS = quick ? 12_000 : 40_000
const AWAY_MS = quick ? 8000 : 30_000
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const limits = (amount: number) => ({ limits: [{ of: 'requests', amount, per: '10s' as const }] })

const asked = async (admin: Redis) =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0)

/** The first moment after `from` from which a second contains nine tenths of the pace. */
function recovered(times: readonly number[], from: number): number {
  for (const at of times) if (at >= from && between(times, at, at + 1000) >= 0.9 * PACE) return at - from
  return Infinity
}

async function measure(processes: number) {
  const redis = await startRedis()
  const admin = new Redis(redis.url)
  const backlog = Math.max(10, Math.ceil((2 * PACE) / processes))
  const fleet = await startFleet(processes, () => ({ redisUrl: redis.url, limits: limits(AMOUNT), backlog }))
  await sleep(3000)
  const [from, before] = [performance.now(), await asked(admin)]
  await sleep(RUN_MS)
  const [to, after] = [performance.now(), await asked(admin)]
  const steady = fleet.times().filter((at) => at >= from && at < to)
  const seconds = (to - from) / 1000

  const refusedAt = await fleet.refuseAll(2000)
  await sleep(5000)
  const since = fleet.times().filter((at) => at > refusedAt)
  const resumed = since.find((at) => at > refusedAt + 1500) ?? Infinity
  const heldMs = Math.max(0, ...since.filter((at) => at < resumed).map((at) => at - refusedAt))
  const reopenMs = recovered(since, resumed)

  redis.freeze()
  const frozen = performance.now()
  await sleep(AWAY_MS)
  redis.thaw()
  const thawed = performance.now()
  await sleep(5000)
  const ups = fleet.said.flatMap(({ message }) =>
    message.of === 'store' && message.state === 'up' ? [message.at] : [],
  )
  const backMs = ups.length < processes ? Infinity : Math.max(...ups) - (performance.timeOrigin + thawed)
  const away = between(fleet.times(), frozen + 3000, thawed) / ((PACE * (AWAY_MS - 3000)) / 1000)
  const all = fleet.times().filter((at) => at >= from)
  const errors = fleet.errors()
  await fleet.stop()

  // Forty per second for each process. Calls are counted, not sent.
  const many = await startFleet(processes, () => ({
    ...{ redisUrl: redis.url, limits: limits(400 * processes), backlog: 100, silent: true },
    store: { prefix: 'many:' },
  }))
  await admin.config('RESETSTAT')
  await sleep(RUN_MS / 2)
  await many.stop()
  const calls = await asked(admin)
  const issued = many.said.reduce((sum, { message }) => sum + (message.of === 'end' ? message.issued : 0), 0)
  admin.disconnect()
  await redis.close()
  return {
    processes,
    used: (100 * steady.length) / (PACE * seconds),
    ofLimit: (100 * steady.length) / ((AMOUNT / WINDOW) * 1000 * seconds),
    over: mostIn(steady, WINDOW) - AMOUNT,
    overAll: mostIn(all, WINDOW) - AMOUNT,
    perSecond: (after - before) / seconds / processes,
    perTicket: calls / issued,
    ...{ heldMs, reopenMs, away: 100 * away, backMs, errors },
  }
}

const results: Awaited<ReturnType<typeof measure>>[] = []
for (const processes of [1, 4, 20]) results.push(await measure(processes))
const worst = <K extends keyof (typeof results)[number]>(key: K, pick: (...values: number[]) => number) =>
  pick(...results.map((result) => Number(result[key])))
const goals: Goal[] = [
  { what: 'used, of the pace', measured: worst('used', Math.min), atLeast: 99.5, unit: '%' },
  { what: 'above the limit in any window', measured: worst('over', Math.max), atMost: 1, unit: 'tickets' },
  {
    what: 'the same, refusal and outage included',
    measured: worst('overAll', Math.max),
    atMost: 1,
    unit: 'tickets',
  },
  { what: 'store calls of a process', measured: worst('perSecond', Math.max), atMost: 4, unit: 'a second' },
  {
    what: 'store calls a ticket, at 40/s a process',
    measured: worst('perTicket', Math.max),
    atMost: 0.1,
    unit: '',
  },
  { what: 'all hold after a refusal', measured: worst('heldMs', Math.max), atMost: 100, unit: 'ms' },
  { what: 'back after the store is', measured: worst('backMs', Math.max), atMost: 2000, unit: 'ms' },
]
printSection({
  title: 'One limit, many processes',
  notes: [
    `${AMOUNT} requests in any ${WINDOW / 1000} s, ${RUN_MS / 1000} s; Redis frozen for ${AWAY_MS / 1000} s; counted by the provider`,
  ],
  columns: results.map(({ processes }) => `${processes}`),
  rows: [
    { name: 'used, % of the pace', cells: results.map(({ used }) => used.toFixed(2)) },
    { name: 'used, % of n (ceiling 99.50)', cells: results.map(({ ofLimit }) => ofLimit.toFixed(2)) },
    { name: 'most in a window, over n', cells: results.map(({ over }) => over) },
    { name: 'the same, trouble included', cells: results.map(({ overAll }) => overAll) },
    { name: 'store calls a second and process', cells: results.map(({ perSecond }) => perSecond) },
    { name: 'store calls a ticket, 40/s a process', cells: results.map(({ perTicket }) => perTicket) },
    { name: 'last ticket after a refusal, ms', cells: results.map(({ heldMs }) => heldMs) },
    { name: 'from the probe to 90 %, ms', cells: results.map(({ reopenMs }) => reopenMs) },
    { name: 'used without the store, %', cells: results.map(({ away }) => away) },
    { name: 'back after the store is, ms', cells: results.map(({ backMs }) => backMs) },
    { name: 'errors', cells: results.map(({ errors }) => errors.length) },
  ],
  goals,
})

const SCENE_MS = quick ? 10_000 : 30_000
const beside: Goal[] = []
const rows: { name: string; cells: (string | number | undefined)[] }[] = []
for (const load of [0.1, 0.5, 0.9, 2])
  for (const peer of PEERS) {
    const seen = await loaded(peer, load, SCENE_MS)
    const where = load > 1 ? 'more than the limit' : `${100 * load} % of the limit`
    rows.push({
      name: `${where}: ${peer.name}`,
      cells: [
        ...[seen.p50, seen.p95, seen.over, seen.used.toFixed(2)],
        ...[seen.perSecond, seen.perTicket, seen.cpuUs],
      ],
    })
    if (peer !== PEERS[0]) continue
    beside.push({
      what: 'above the limit in any window',
      where,
      measured: seen.over,
      atMost: 1,
      unit: 'tickets',
    })
    beside.push({
      what: 'store calls of a process',
      where,
      measured: seen.perSecond,
      atMost: 4,
      unit: 'a second',
    })
    const [p50, p95] = { 0.1: [5, 20], 0.5: [5, 40] }[load] ?? []
    if (p50) beside.push({ what: 'wait, p50', where, measured: seen.p50 ?? 0, atMost: p50, unit: 'ms' })
    if (p95) beside.push({ what: 'wait, p95', where, measured: seen.p95 ?? 0, atMost: p95, unit: 'ms' })
    if (load > 1)
      beside.push({ what: 'used, of the pace', where, measured: seen.used, atLeast: 99, unit: '%' })
  }
printSection({
  title: 'Beside others',
  notes: [
    `8 members in one process, ${AMOUNT} requests in any ${WINDOW / 1000} s, ${SCENE_MS / 1000} s each`,
  ],
  columns: ['p50, ms', 'p95, ms', 'over n', 'used, %', 'store calls/s', 'a ticket', 'CPU µs a ticket'],
  rows,
  goals: beside,
})

const scenes = [
  ...[100, 200, 300].map((ms) => ({
    name: `4 near, 4 far: ${ms} ms`,
    seen: () => nearAndFar(ms, SCENE_MS),
    atLeast: 98,
  })),
  { name: 'short-lived neighbours', seen: () => shortLived(SCENE_MS), atLeast: 95 },
  {
    name: `half cut off for ${quick ? 30 : 95} s`,
    seen: () => cutOff(quick ? 30_000 : 95_000),
    atLeast: undefined,
  },
  { name: 'Redis frozen for 5 s, once in a minute', seen: () => frozen(5000), atLeast: 95 },
  { name: 'slow joining: 1.2 s', seen: () => slowJoining(1200), atLeast: 95 },
]
const trouble: Goal[] = []
const troubleRows: typeof rows = []
for (const { name, seen, atLeast } of scenes) {
  const came: { used: number; over: number; apart?: number } = await seen()
  troubleRows.push({ name, cells: [came.used.toFixed(2), came.over, came.apart] })
  const said = { where: name }
  trouble.push({
    ...said,
    what: 'above the limit in any window',
    measured: came.over,
    atMost: 1,
    unit: 'tickets',
  })
  if (atLeast) trouble.push({ ...said, what: 'used, of the pace', measured: came.used, atLeast, unit: '%' })
  if (came.apart)
    trouble.push({ ...said, what: 'most to least calls', measured: came.apart, atMost: 1.5, unit: '' })
}
printSection({
  title: 'In trouble',
  columns: ['used, %', 'over n', 'most to least'],
  rows: troubleRows,
  goals: trouble,
})
process.exitCode = exitCodeOf([...goals, ...beside, ...trouble])
