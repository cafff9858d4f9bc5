/**
 * What many processes reach with one limit: `npm run bench:fleet`, with a real Redis, real processes and an HTTP provider that
 * counts. `--quick` measures for a third of the time.
 *
 * The window is ten seconds, so that a run holds several; the ceiling of what can be used is then W ÷ (W + J) = 99.5 %
 * of n. "Used" is told of the pace the law allows, and of n.
 */
import { Redis } from 'ioredis'
import { startRedis } from '../test/support/redis.ts'
import { between, mostIn } from './fleet/count.ts'
import { startFleet } from './fleet/fleet.ts'
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

/** The first moment after `from` from which on a second holds nine tenths of the pace. */
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

  const refusedAt = await fleet.refuseOne(2000)
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

  // Forty a second for each process: calls are counted, not sent.
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
process.exitCode = exitCodeOf(goals)
