// A job and its state.

import type { Ticket } from 'llmiter'
import { BottleneckError } from './errors.ts'
import type { Events } from './events.ts'
import { numberOf } from './settings.ts'
import type { JobEventInfo, BottleneckJobOptions, KnownJobOptions, JobStatus } from './types.ts'

const PRIORITIES = 10
const USUAL_PRIORITY = 5
/** The lowest priority. */
export const LAST_PRIORITY = PRIORITIES - 1

let unnamed = 0

function priorityOf(said: unknown): number {
  const priority = Number.isInteger(said) ? (said as number) : USUAL_PRIORITY
  return Math.min(Math.max(priority, 0), LAST_PRIORITY)
}

export type Task = (...args: never[]) => unknown

/** What a running job holds: its slot, and the ticket of its start. */
interface Tickets {
  readonly place: Ticket
  readonly start: Ticket
}

export class QueuedJob {
  readonly task: Task
  readonly args: unknown[]
  readonly options: KnownJobOptions
  /** Identifies it in lists. Ids may be numbers. */
  readonly key: string
  readonly promise: Promise<unknown>
  resolve!: (value: unknown) => void
  reject!: (error: unknown) => void
  status: JobStatus | undefined = undefined
  retryCount = 0
  /** The error in its options. */
  wrong: unknown
  /** Resolves with its tickets when it begins. Code after it runs in the async context of the job's caller. */
  readonly begun: Promise<Tickets>
  begin!: (tickets: Tickets) => void

  constructor(task: Task, args: unknown[], options: BottleneckJobOptions, Promises: PromiseConstructor) {
    if (typeof task !== 'function')
      throw new BottleneckError(`the job must be a function, got ${task === null ? 'null' : typeof task}`)
    this.task = task
    this.args = args
    const { priority, id } = options
    this.options = {
      priority: priorityOf(priority),
      ...this.#numbersOf(options),
      id: id ?? `<no-id>-${(++unnamed).toString(36)}`,
    }
    this.key = String(this.options.id)
    this.promise = new Promises((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    this.begun = new Promise((resolve) => {
      this.begin = resolve
    })
  }

  #numbersOf({ weight, expiration }: BottleneckJobOptions): Pick<KnownJobOptions, 'weight' | 'expiration'> {
    try {
      return {
        weight: numberOf('weight', weight) ?? 1,
        expiration: numberOf('expiration', expiration) ?? (null as never),
      }
    } catch (error) {
      this.wrong = error
      return { weight: 0 }
    }
  }

  get info(): JobEventInfo {
    return { args: this.args, options: this.options }
  }

  get tries() {
    return { ...this.info, retryCount: this.retryCount }
  }
}

/** All jobs of a limiter, by state. */
export class Jobs {
  readonly #events: Events
  readonly #keepsDone: boolean
  readonly #jobs = new Map<string, QueuedJob>()
  readonly #counts: Record<JobStatus, number> = { RECEIVED: 0, QUEUED: 0, RUNNING: 0, EXECUTING: 0, DONE: 0 }
  readonly #queued: number[] = Array.from({ length: PRIORITIES }, () => 0)
  /** Slots taken by running jobs, and the weight of finished jobs. */
  running = 0
  done = 0

  constructor(events: Events, keepsDone: boolean) {
    this.#events = events
    this.#keepsDone = keepsDone
  }

  get(id: unknown): QueuedJob | undefined {
    return this.#jobs.get(String(id))
  }

  /** The number of waiting jobs, of one priority or of all. */
  queued(priority?: number | null): number {
    return priority === undefined || priority === null ? this.#counts.QUEUED : (this.#queued[priority] ?? 0)
  }

  /** Whether a job with a lower priority waits. */
  lessUrgent(priority: number): boolean {
    return this.#queued.some((count, at) => at > priority && count > 0)
  }

  /** Whether no job waits or is about to wait. */
  get empty(): boolean {
    return this.#counts.QUEUED + this.#counts.RECEIVED === 0
  }

  /** The number of unfinished jobs. */
  get open(): number {
    const { RECEIVED, QUEUED, RUNNING, EXECUTING } = this.#counts
    return RECEIVED + QUEUED + RUNNING + EXECUTING
  }

  counts(): Partial<Record<JobStatus, number>> {
    const { DONE, ...counts } = this.#counts
    return { ...counts, ...(this.#keepsDone && { DONE }) }
  }

  keys(status?: JobStatus): string[] {
    if (status !== undefined && !Object.keys(this.counts()).includes(status))
      throw new BottleneckError(`status must be one of ${Object.keys(this.counts()).join(', ')}`)
    const found = [...this.#jobs.values()].filter((job) => status === undefined || job.status === status)
    return found.map(({ key }) => key)
  }

  /** Moves a job to its next state. `undefined`: it has ended. */
  move(job: QueuedJob, status: JobStatus | undefined): void {
    const { status: before, key, options } = job
    if (before !== undefined) this.#counts[before]--
    if (before === 'QUEUED') this.#queued[options.priority]!--
    if (before === undefined) this.#jobs.set(key, job)
    const kept = status !== undefined && (status !== 'DONE' || this.#keepsDone)
    job.status = status
    if (!kept) this.#jobs.delete(key)
    else {
      this.#counts[status]++
      if (status === 'QUEUED') this.#queued[options.priority]!++
    }
  }

  /** Drops a job that has not begun. Returns whether it was there. */
  drop(job: QueuedJob, error: unknown, rejects: boolean): boolean {
    if (job.status === undefined) return false
    if (job.status === 'RUNNING') this.running -= job.options.weight
    this.move(job, undefined)
    if (rejects) job.reject(error)
    if (this.#events.heard('dropped'))
      void this.#events.trigger('dropped', { ...job.info, task: job.task, promise: job.promise })
    return true
  }
}
