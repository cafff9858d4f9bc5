/**
 * Does a call cost more when many others wait? For each queue length, a batch of calls joins while as many leave
 * from the front, and a batch of others anywhere in the queue is aborted. The time of each is measured.
 *
 * A cost of O(log n) may double from 10³ to 10⁶, and cache misses add to it. A cost of O(n) would grow a thousand
 * times. The goal is between the two, far from the latter.
 */
import PQueue from 'p-queue'
import { BucketRateLimiter } from '../../src/index.ts'
import { ONE_LIMIT, type Work } from '../contestants.ts'
import { cost, type Costs, deferred, interleave, type Jobs, microseconds, type Turn } from '../measure.ts'
import { seededRandom } from '../../src/lib/random.ts'
import type { Section } from '../table.ts'

const BATCH = 50
/**
 * The number of initial calls, so that the code is compiled before short queues are timed, as it is for long ones.
 */
const PRACTICE = 20_000
const MOST_GROWTH = 8

type Join = (work: Work) => Promise<unknown>

const limiter = () => new BucketRateLimiter({ ...ONE_LIMIT, maxConcurrent: 1 })

const lines: Record<string, () => Join> = {
  'run + issue'() {
    const line = limiter()
    return (work) => line.run(work)
  },
  'with priorities, tenants'() {
    const line = limiter()
    const random = seededRandom(1)
    const tenants = Array.from({ length: 100 }, (_, i) => `tenant-${i}`)
    return (work) =>
      line.run(work, { priority: Math.floor(random() * 10), tenant: tenants[Math.floor(random() * 100)]! })
  },
  'p-queue, priorities'() {
    const queue = new PQueue({ concurrency: 1 })
    const random = seededRandom(1)
    return (work) => queue.add(work, { priority: Math.floor(random() * 10) })
  },
}

export const jobs: Jobs = {
  ...Object.fromEntries(Object.entries(lines).map(([name, open]) => [name, (size) => batches(open, size)])),
  'a tenant each': tenants,
  'abort one': aborts,
  async 'abort all'(size) {
    await abortAll(PRACTICE)
    return () => abortAll(size)
  },
  'AbortController alone': () => bareAborts,
}

interface Column {
  job: string
  /** The longest queue it is measured with. */
  upTo?: number
  goal?: boolean
}

const columns: Column[] = [
  { job: 'run + issue', goal: true },
  { job: 'with priorities, tenants', goal: true },
  { job: 'a tenant each', goal: true },
  { job: 'abort one', goal: true },
  { job: 'abort all', goal: true },
  // It sorts by insertion into an array, so filling a queue of a million takes hours.
  { job: 'p-queue, priorities', upTo: 1e5 },
]

export async function scalingSection(sizes: number[], rounds: number): Promise<Section> {
  // The jobs are warm. A whole queue of a million takes seconds.
  const plan = { rounds, warmUp: 1 }
  const measured = new Map<Column, Costs>()
  for (const column of columns) {
    const { job, upTo = Infinity } = column
    const names = sizes.filter((size) => size <= upTo).map((size) => `${job}@${size}`)
    measured.set(column, await interleave(import.meta.url, names, plan))
  }
  const bare = await interleave(import.meta.url, ['AbortController alone'], plan)
  const [least, most] = [sizes[0]!, sizes.at(-1)!]
  const at = (column: Column, size: number) => {
    const costs = measured.get(column)!
    return costs.has(`${column.job}@${size}`) ? cost(costs, `${column.job}@${size}`) : undefined
  }
  const growth = (column: Column) => {
    const [first, last] = [at(column, least)!, at(column, most)]
    return last && last < Infinity ? last / first : last
  }
  return {
    title: `e. Cost of one more call, by how many wait (µs, median of ${rounds} rounds)`,
    notes: [
      '"run + issue": one joins while one leaves. "a tenant each": the whole line, filled and drained, each call of',
      'another tenant. "abort one": anywhere in a line with priorities, each with a signal of its own; the',
      `AbortController alone is ${cost(bare, 'AbortController alone').toPrecision(2)} µs of it. "abort all": the whole line under one signal, to join and to be aborted.`,
    ],
    columns: columns.map(({ job }) => job),
    rows: [
      ...sizes.map((size) => ({
        name: `${size.toLocaleString('en')} waiting`,
        cells: columns.map((column) => at(column, size)),
      })),
      { name: 'last ÷ first', cells: columns.map(growth) },
    ],
    goals: columns
      .filter(({ goal }) => goal)
      .map((column) => ({
        what: `${column.job}, at ${most.toLocaleString('en')} to at ${least.toLocaleString('en')}`,
        measured: growth(column)!,
        atMost: MOST_GROWTH,
        unit: '×',
      })),
  }
}

/** A batch joins a queue of constant length, since as many calls leave. */
async function batches(open: () => Join, size: number): Promise<Turn> {
  await batchJoins(open(), PRACTICE)(PRACTICE)
  const turn = batchJoins(open(), size)
  return () => turn(BATCH)
}

function batchJoins(join: Join, size: number): (batch: number) => Promise<number> {
  let left = 1
  let gate = deferred<number>()
  let served = deferred<void>()
  /** Ends immediately, except the last call of a batch, which holds the queue until the next batch. */
  const work: Work = async () => {
    if (--left > 0) return 0
    gate = deferred()
    served.resolve()
    return gate.promise
  }
  for (let i = 0; i <= size; i++) void join(work)
  return async (batch) => {
    await served.promise
    return microseconds(batch, () => {
      for (let i = 0; i < batch; i++) void join(work)
      left = batch
      served = deferred()
      gate.resolve(0)
      return served.promise
    })
  }
}

/**
 * In µs per call, for whole queues. A cost of O(n) would take hours, so above this (and 2 s) it counts as
 * infinite.
 */
const PATIENCE = 50

async function tenants(size: number): Promise<Turn> {
  await filledAndDrained(PRACTICE)
  let cost = 0
  // After one timeout, the contestant is not measured again.
  return async () => (cost = cost < Infinity ? await filledAndDrained(size) : cost)
}

async function filledAndDrained(size: number): Promise<number> {
  const line = limiter()
  const start = performance.now()
  const deadline = start + Math.max(2000, (size * PATIENCE) / 1000)
  const over = deferred<void>()
  let served = 0
  const work: Work = () => {
    if (++served < size && performance.now() < deadline) return Promise.resolve(served)
    over.resolve()
    return new Promise(() => {})
  }
  for (let i = 0; i < size; i++) void line.run(work, { tenant: `user-${i}` })
  await over.promise
  return served < size ? Infinity : ((performance.now() - start) * 1000) / size
}

/** Calls that can be aborted are at random places of the queue. Each batch aborts some of them at random. */
async function aborts(size: number): Promise<Turn> {
  const practice = abortable(PRACTICE, PRACTICE / 2)
  await practice(PRACTICE / 2)
  const batch = 20
  const turn = abortable(size, Math.max(size / 1000, 1) * 500)
  return () => turn(batch)
}

function abortable(size: number, count: number): (batch: number) => Promise<number> {
  const random = seededRandom(size)
  const line = limiter()
  const places = new Set<number>()
  while (places.size < count) places.add(Math.floor(random() * size))
  void line.run(() => new Promise(() => {}))
  const calls = new Map<number, { controller: AbortController; result: Promise<unknown> }>()
  for (let place = 0; place < size; place++) {
    const priority = Math.floor(random() * 10)
    if (places.has(place)) {
      const controller = new AbortController()
      const result = line.run(async () => place, { priority, signal: controller.signal })
      calls.set(place, { controller, result: result.catch((reason: unknown) => reason) })
    } else void line.run(async () => place, { priority })
  }
  // In the order in which the places were drawn, which is random.
  const order = [...places].map((place) => calls.get(place)!)
  return async (batch) => {
    const leaving = order.splice(0, batch)
    const reasons = leaving.map(() => new Error('left'))
    const before = line.stats().waiting
    const each = await microseconds(batch, () => {
      leaving.forEach(({ controller }, i) => controller.abort(reasons[i]))
    })
    const got = await Promise.all(leaving.map(({ result }) => result))
    const gone = before - line.stats().waiting
    if (gone !== batch || got.some((reason, i) => reason !== reasons[i])) {
      throw new Error(
        `${batch} waiting calls were aborted, ${gone} left the line, with ${got.slice(0, 3).join()}`,
      )
    }
    return each
  }
}

function bareAborts(): Promise<number> {
  const controllers = Array.from({ length: PRACTICE }, () => new AbortController())
  for (const { signal } of controllers) signal.addEventListener('abort', () => {})
  const reason = new Error('left')
  return microseconds(PRACTICE, () => {
    for (const controller of controllers) controller.abort(reason)
  })
}

/**
 * Many calls with one signal, as when a user leaves a page. Node scans all listeners of a signal when one is
 * added, so a listener per call would cost O(n) per call.
 */
async function abortAll(size: number): Promise<number> {
  const line = limiter()
  const controller = new AbortController()
  const results = new Array<Promise<unknown>>(size)
  void line.run(() => new Promise(() => {}))
  return microseconds(size, async () => {
    for (let i = 0; i < size; i++) results[i] = line.run(async () => i, { signal: controller.signal })
    controller.abort()
    const outcomes = await Promise.allSettled(results)
    if (outcomes.some(({ status }) => status !== 'rejected')) throw new Error('an aborted call went through')
  })
}
