/**
 * Bytes that a waiting call holds, including its promise: the heap in use after garbage collection, before and
 * after many calls join the queue of a contestant whose first call does not end.
 *
 * The work is one shared function, and the array for the promises exists before, so only the contestant and its
 * promise are measured. Afterwards the queue is drained, and every call must have run.
 */
import {
  type Contestant,
  llmiter,
  llmiterWithAll,
  ONE_LIMIT,
  pLimitOf,
  pQueueOf,
  semaOf,
  type Work,
} from '../contestants.ts'
import { cost, deferred, interleave, type Jobs } from '../measure.ts'
import type { Section } from '../table.ts'

const contestants: Record<string, Contestant> = {
  'llmiter, one limit': llmiter({ ...ONE_LIMIT, maxConcurrent: 1 }),
  'llmiter, 5 limits + priority + tenants, cost objects included': llmiterWithAll({ maxConcurrent: 1 }),
  'p-limit': pLimitOf(1),
  'p-queue': pQueueOf(1),
  'async-sema, Sema': semaOf(1),
}

export const jobs: Jobs = Object.fromEntries(
  Object.entries(contestants).map(([name, contestant]) => [
    name,
    (calls) => () => bytesACall(contestant, calls),
  ]),
)

export async function memorySection(calls: number): Promise<Section> {
  const names = Object.keys(contestants)
  const jobOf = (name: string) => `${name}@${calls}`
  const bytes = new Map<string, number>()
  // One process after the other, since each takes up to a GB; and only once, since bytes do not vary by chance.
  for (const name of names) {
    const costs = await interleave(import.meta.url, [jobOf(name)], { rounds: 1, warmUp: 0 })
    bytes.set(name, Math.round(cost(costs, jobOf(name))))
  }
  return {
    title: `d. ${calls.toLocaleString('en')} calls waiting`,
    columns: ['bytes each'],
    rows: names.map((name) => ({ name, cells: [bytes.get(name)] })),
    goals: [
      { what: 'one limit, promise included', measured: bytes.get(names[0]!)!, atMost: 400, unit: 'bytes' },
    ],
  }
}

async function bytesACall(contestant: Contestant, calls: number): Promise<number> {
  const line = contestant(calls)
  let ran = 0
  const work: Work = async () => ++ran
  const gate = deferred<number>()
  const first = line.run(() => gate.promise)
  const waiting = new Array<Promise<unknown> | undefined>(calls).fill(undefined)
  const before = heapInUse()
  for (let i = 0; i < calls; i++) waiting[i] = line.run(work)
  const held = heapInUse() - before
  if (ran > 0) throw new Error(`${ran} calls ran that should have waited`)
  gate.resolve(0)
  await first
  await Promise.all(waiting)
  if (ran !== calls) throw new Error(`${calls} calls waited and ${ran} ran`)
  return held / calls
}

function heapInUse(): number {
  if (!globalThis.gc) throw new Error('the heap is measured with all garbage gone: run node with --expose-gc')
  // The second pass collects what finalizers and weak references released in the first.
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed
}
