/**
 * Time per call: many calls outstanding at once, run and drained. Measured from the first `run` until all have
 * their results, divided by the number of calls. The work itself is `async () => 1`, shared.
 *
 * The goals are judged with a job in which every call has to queue, the same for all: ten at a time. llmiter also
 * keeps a rate there, which makes its job harder.
 */
import {
  bottleneckOf,
  type Contestant,
  llmiter,
  llmiterWithAll,
  llmiterWithLog,
  ONE_LIMIT,
  pLimitOf,
  pQueueByRate,
  pQueueOf,
  pThrottleByRate,
  semaByRate,
  semaOf,
  type Work,
} from '../contestants.ts'
import { cost, interleave, type Jobs, microseconds, ratio, type Turn, warmed } from '../measure.ts'
import type { Section } from '../table.ts'

const queueing: Record<string, Contestant> = {
  'llmiter, one limit': llmiter({ ...ONE_LIMIT, maxConcurrent: 10 }),
  'llmiter, one limit + log': llmiterWithLog({ ...ONE_LIMIT, maxConcurrent: 10 }),
  'llmiter, 5 limits + priority + tenants': llmiterWithAll({ maxConcurrent: 10 }),
  'p-limit': pLimitOf(10),
  'p-queue': pQueueOf(10),
  'async-sema, Sema': semaOf(10),
  'Bottleneck, 400 calls': bottleneckOf(10),
}

const byRate: Record<string, Contestant> = {
  'llmiter, one limit, no line': llmiter(ONE_LIMIT),
  'p-queue, intervalCap': pQueueByRate,
  'p-throttle': pThrottleByRate,
  'async-sema, RateLimit': semaByRate,
}

const contestants = { ...queueing, ...byRate }

export const jobs: Jobs = Object.fromEntries(
  Object.entries(contestants).map(([name, contestant]) => [
    name,
    (calls) => warmed(turnOf(contestant, calls)),
  ]),
)

export async function callsSection(calls: number, rounds: number): Promise<Section> {
  const jobOf = (name: string) =>
    `${name}@${contestants[name] === queueing['Bottleneck, 400 calls'] ? 400 : calls}`
  const costs = await interleave(import.meta.url, Object.keys(contestants).map(jobOf), { rounds })
  const times = (name: string, peer: string) => ratio(costs, jobOf(name), jobOf(peer))
  const rowsOf = (names: string[]) =>
    names.map((name) => ({
      name: `  ${name}`,
      cells: [cost(costs, jobOf(name)), times(name, 'p-limit'), times(name, 'p-queue')],
    }))
  const goal = (what: string, name: string, atMost: number, peer: string) => ({
    what,
    measured: times(name, peer),
    atMost,
    unit: `× ${peer}`,
  })
  const plain = 'llmiter, one limit'
  return {
    title: `a, c. ${calls.toLocaleString('en')} calls outstanding, run and drained (median of ${rounds} rounds)`,
    columns: ['µs a call', '× p-limit', '× p-queue'],
    rows: [
      { name: 'ten at a time, the others in line', cells: [] },
      ...rowsOf(Object.keys(queueing)),
      { name: 'as many at once as a huge rate allows', cells: [] },
      ...rowsOf(Object.keys(byRate)),
    ],
    goals: [
      goal('all in line', plain, 0.8, 'p-limit'),
      goal('all in line', plain, 0.5, 'p-queue'),
      goal('with a log', 'llmiter, one limit + log', 1.02, plain),
      goal('5 limits + priority + tenants, all in line', 'llmiter, 5 limits + priority + tenants', 2, plain),
    ],
  }
}

export function turnOf(contestant: Contestant, calls: number): Turn {
  const work: Work = async () => 1
  return async () => {
    const line = contestant(calls)
    const results = new Array<Promise<unknown>>(calls)
    const each = await microseconds(calls, () => {
      for (let i = 0; i < calls; i++) results[i] = line.run(work)
      return Promise.all(results)
    })
    await line.close?.()
    return each
  }
}
