/**
 * Runs cases in processes, as many at a time as there are cores: one client to a process, so that a peer's fakes,
 * timers and garbage are its own. Cases in real time go one at a time, when all others are done.
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

/** A run takes seconds. One that takes so long goes round in circles, and says nothing by itself. */
const LONGEST_MS = 300_000

/** Told of each run, with the ms of this machine that it took. */
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

/** What may share a process: one client, and the same law. */
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
