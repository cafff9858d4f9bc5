/** Runs jobs and pools the results, one cell per case and client, in the order of the plan. */
import { grouped, pool, type Case, type Cell, type ClientName, type Figures } from './case.ts'
import { runJobs, type Job } from './workers.ts'

export const SEEDS = { full: 6, quick: 2 }
export type Effort = keyof typeof SEEDS

export interface TimedCell extends Cell {
  /** The time that the bench took on this machine. */
  tookMs: number
  ablation?: string | undefined
}

export function jobsOf(one: Case, client: ClientName, effort: Effort): Job[] {
  const own = client === 'llmiter' ? undefined : one.peerSeeds
  return seeded(one, client, (own ?? one.seeds ?? SEEDS)[effort])
}

export function seeded(one: Case, client: ClientName, seeds: number): Job[] {
  return Array.from({ length: seeds }, (_, i) => ({ case: one, client, seed: i + 1 }))
}

const keyOf = ({ case: { id }, client, ablation }: Job) => `${id} ${client} ${ablation}`

export async function cellsOf(jobs: readonly Job[]): Promise<TimedCell[]> {
  const results = new Map<string, { figures: Map<number, Figures>; tookMs: number }>()
  let done = 0
  await runJobs(jobs, (job, figures, tookMs) => {
    const key = keyOf(job)
    const result = results.get(key) ?? { figures: new Map(), tookMs: 0 }
    result.figures.set(job.seed, figures)
    result.tookMs += tookMs
    results.set(key, result)
    if (process.stderr.isTTY) process.stderr.write(`\r${++done} of ${jobs.length} runs`)
  })
  const firsts = new Map(jobs.map((job) => [keyOf(job), job]))
  return [...firsts].map(([key, { case: one, client, ablation }]) => {
    const { figures, tookMs } = results.get(key)!
    const inOrder = [...figures].toSorted(([a], [b]) => a - b).map(([, each]) => each)
    return { case: one, client, ablation, tookMs, pooled: pool(inOrder), each: inOrder }
  })
}

/** Prints where the bench spends its time: by client, and the most expensive cells. */
export function printTimes(cells: readonly TimedCell[]): void {
  const seconds = (some: readonly TimedCell[]) =>
    (some.reduce((sum, { tookMs }) => sum + tookMs, 0) / 1000).toFixed(1).padStart(7)
  console.log('\nSeconds of this machine, by client')
  for (const [client, some] of grouped(cells, ({ client }) => client))
    console.log(`${seconds(some)}  ${client}`)
  console.log('and by cell')
  for (const cell of cells.toSorted((a, b) => b.tookMs - a.tookMs).slice(0, 40)) {
    console.log(`${seconds([cell])}  ${cell.case.id}  ${cell.client}`)
  }
}
