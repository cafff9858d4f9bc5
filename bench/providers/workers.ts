/**
 * Runs cases in processes, as many in parallel as there are cores. Each process runs one client, so that fakes,
 * timers and garbage of one do not affect another. Cases in real time run one at a time, after all others.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { deferred } from '../measure.ts'
import { grouped, type Case, type ClientName, type Figures } from './case.ts'

export interface Job {
  case: Case
  client: ClientName
  seed: number
  /** A rule of the law that is switched off. */
  ablation?: string | undefined
}

/** A run takes seconds. A longer one is in an endless loop and would not report it. */
const LONGEST_MS = 300_000

/** Called after each run, with the ms it took on this machine. */
export type Report = (job: Job, figures: Figures, tookMs: number) => void

export async function runJobs(jobs: readonly Job[], report: Report): Promise<void> {
  const [real, virtual] = [true, false].map((wanted) =>
    queuesOf(jobs.filter((job) => !!job.case.realTime === wanted)),
  )
  const crew = Array.from({ length: Math.min(4, availableParallelism()) }, async () => {
    for (const queue of virtual!) if (queue.length > 0) await serve('virtual', queue, report)
  })
  await Promise.all(crew)
  for (const queue of real!) await serve('real', queue, report)
}

/** Jobs that can share a process: the same client and the same law. */
function queuesOf(jobs: readonly Job[]): Job[][] {
  return [...grouped(jobs, ({ client, ablation }) => `${client} ${ablation}`).values()]
}

async function serve(time: 'virtual' | 'real', queue: Job[], report: Report): Promise<void> {
  const { client, ablation } = queue[0]!
  const args = [client, time, ...(ablation === undefined ? [] : [ablation])]
  const child = fork(new URL('worker.ts', import.meta.url), args, { serialization: 'advanced' })
  try {
    await answer(child)
    for (let job = queue.shift(); job; job = queue.shift()) {
      const startedAt = performance.now()
      child.send({ id: job.case.id, seed: job.seed })
      const name = [job.case.id, client, ablation, `seed ${job.seed}`].filter(Boolean).join(', ')
      const watchdog = setTimeout(
        () => child.emit('error', new Error(`${name}: no end after 5 minutes`)),
        LONGEST_MS,
      )
      const said = (await answer(child).finally(() => clearTimeout(watchdog))) as
        { figures: Figures } | { error: string }
      if ('error' in said) throw new Error(said.error)
      report(job, said.figures, performance.now() - startedAt)
    }
  } finally {
    child.removeAllListeners()
    child.kill('SIGKILL')
  }
}

function answer(child: ChildProcess): Promise<unknown> {
  const { promise, resolve, reject } = deferred<unknown>()
  child.removeAllListeners()
  child.once('message', resolve)
  child.once('error', reject)
  child.once('exit', (code) => reject(new Error(`a worker ended with code ${code}`)))
  return promise
}
