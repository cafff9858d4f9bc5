/**
 * Runs cases in processes, as many at a time as there are cores: one client to a process, so that a peer's fakes,
 * timers and garbage are its own. Cases in real time go one at a time, when all others are done.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { deferred } from '../measure.ts'
import type { Case, ClientName, Figures } from './case.ts'

export interface Job {
  case: Case
  client: ClientName
  seed: number
}

export async function runJobs(
  jobs: readonly Job[],
  report: (job: Job, figures: Figures) => void,
): Promise<void> {
  const [real, virtual] = [true, false].map((wanted) => jobs.filter((job) => !!job.case.realTime === wanted))
  const queues = new Map<ClientName, Job[]>()
  for (const job of virtual!) queues.set(job.client, [...(queues.get(job.client) ?? []), job])
  const crew = Array.from({ length: Math.min(4, availableParallelism()) }, async () => {
    for (const [client, queue] of queues) if (queue.length > 0) await serve(client, 'virtual', queue, report)
  })
  await Promise.all(crew)
  if (real!.length > 0) await serve('llmiter', 'real', real!, report)
}

async function serve(
  client: ClientName,
  time: 'virtual' | 'real',
  queue: Job[],
  report: (job: Job, figures: Figures) => void,
): Promise<void> {
  const child = fork(new URL('worker.ts', import.meta.url), [client, time], { serialization: 'advanced' })
  try {
    await answer(child)
    for (let job = queue.shift(); job; job = queue.shift()) {
      child.send({ id: job.case.id, seed: job.seed })
      const said = (await answer(child)) as { figures: Figures } | { error: string }
      if ('error' in said) throw new Error(said.error)
      report(job, said.figures)
    }
  } finally {
    child.removeAllListeners()
    child.kill()
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
