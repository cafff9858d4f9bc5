// The stages of a job: it waits for a slot, then for its start, runs, and is done, refused or dropped.
//
//   places   QUEUED → RUNNING     how many run at once, the reservoir, priorities, a full queue
//   starts   RUNNING → EXECUTING  the time between two starts, and the provider: a refused job keeps its slot
//                                 and waits here until the provider accepts calls again
//
// The limiter's events report what happens to a queued job, by the job's id and synchronously, so counts are never
// late.

import { type BucketRateLimiter, LimiterError, QueueClearedError, QueueFullError, type Ticket } from 'llmiter'
import { BottleneckError } from './errors.ts'
import type { Events } from './events.ts'
import type { Jobs, QueuedJob, Task } from './job.ts'
import { boundOf, type given, penaltyOf, strategy } from './settings.ts'

const DROPPED = 'This job has been dropped by Bottleneck'

/**
 * Jobs that begin in the next turn of the event loop, so that jobs that end in this turn end before new ones
 * start.
 */
let beginners: (() => void)[] = []

function inNextTurn(begin: () => void): void {
  if (beginners.push(begin) > 1) return
  const beginAll = () => {
    const all = beginners
    beginners = []
    for (const each of all) each()
  }
  if (typeof setImmediate === 'function') setImmediate(beginAll)
  else setTimeout(beginAll, 0)
}

/** The maximum delay of a timer. A longer one would fire immediately. */
const LONGEST_MS = 2 ** 31 - 1

/** Runs the work, and rejects when it takes longer than this. */
async function expiring(ms: number, work: () => unknown): Promise<unknown> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const expired = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new BottleneckError(`This job timed out after ${ms} ms.`)),
      Math.min(ms, LONGEST_MS),
    )
  })
  try {
    return await Promise.race([work(), expired])
  } finally {
    clearTimeout(timer)
  }
}

/** The chained limiter, which these jobs also pass through. */
interface Chained {
  schedule(options: QueuedJob['options'], task: Task, ...args: unknown[]): Promise<unknown>
}

export class JobFlow {
  settings: ReturnType<typeof given>
  chained: Chained | undefined
  /** The error message for later jobs, after `stop`. */
  refusesWith: string | undefined
  dropsWith = DROPPED
  lastStart: number
  readonly jobs: Jobs
  readonly places: BucketRateLimiter
  readonly starts: BucketRateLimiter
  readonly #events: Events<object>
  #blockedUntil = -Infinity
  /**
   * Jobs that were received but not taken yet, in order, each with the callback that is told whether the queue was
   * full.
   */
  #received: { readonly job: QueuedJob; readonly taken: ((full: boolean) => void) | undefined }[] = []
  #taking = false
  readonly #whenLeft: (() => void)[] = []

  constructor(
    settings: ReturnType<typeof given>,
    jobs: Jobs,
    events: Events<object>,
    limiters: { readonly places: BucketRateLimiter; readonly starts: BucketRateLimiter },
  ) {
    this.settings = settings
    this.jobs = jobs
    this.#events = events
    this.places = limiters.places
    this.starts = limiters.starts
    this.lastStart = this.starts.clock.now()
    this.places.on('issue', ({ id }) => this.#placed(jobs.get(id)))
    for (const limiter of [this.places, this.starts]) {
      limiter.on('reject', ({ id, error }) => this.#turnedAway(jobs.get(id), error))
      limiter.on('error', ({ error }) => void events.trigger('error', error))
    }
  }

  /** Drops all waiting jobs. Resolves when running jobs are done. */
  async dropAll(message: string): Promise<void> {
    this.dropsWith = message
    this.places.clear()
    this.starts.clear()
    for (const status of ['RECEIVED', 'QUEUED', 'RUNNING'] as const)
      for (const key of this.jobs.keys(status)) this.#drop(this.jobs.get(key)!, new BottleneckError(message))
    await this.left(0)
  }

  /** Resolves when at most this many jobs are open. */
  async left(most: number): Promise<void> {
    while (this.jobs.open > most) await new Promise<void>((resolve) => this.#whenLeft.push(resolve))
  }

  #tell(name: string, ...args: unknown[]): void {
    if (this.#events.heard(name)) void this.#events.trigger(name, ...args)
  }

  #tellOf(name: string, job: QueuedJob, more?: object): void {
    if (this.#events.heard(name)) void this.#events.trigger(name, { ...job.info, ...more })
  }

  /** Receives a job. `taken` is called with whether the queue was full. */
  receive(job: QueuedJob, taken?: (full: boolean) => void): void {
    const refused =
      this.refusesWith ??
      (this.jobs.get(job.key) && `A job with the same id already exists (id=${job.options.id})`)
    const error = refused === undefined ? job.wrong : new BottleneckError(refused)
    if (error !== undefined) {
      job.reject(error)
      taken?.(false)
      return
    }
    void job.begun.then(({ place, start }) => this.#execute(job, place, start))
    this.jobs.move(job, 'RECEIVED')
    this.#tellOf('received', job)
    this.#received.push({ job, taken })
    if (!this.#taking) void this.#takeAll()
  }

  /** Takes received jobs one after the other. */
  async #takeAll(): Promise<void> {
    this.#taking = true
    await undefined
    while (this.#received.length > 0) {
      const received = this.#received
      this.#received = []
      for (const { job, taken } of received) {
        const full = job.status === 'RECEIVED' && this.#enqueue(job)
        taken?.(full)
        // A job that gets its slot immediately may be done before the next one is queued, whatever that one's
        // priority.
        if (job.status !== 'QUEUED')
          await new Promise<void>((resolve) => inNextTurn(() => inNextTurn(resolve)))
      }
    }
    this.#taking = false
  }

  /** Queues a job. Returns whether the queue was full. */
  #enqueue(job: QueuedJob): boolean {
    const { weight, priority } = job.options
    const { maxConcurrent } = this.settings
    if (maxConcurrent !== undefined && weight > maxConcurrent) {
      const what = `Impossible to add a job having a weight of ${weight} to a limiter having a maxConcurrent setting of ${maxConcurrent}`
      this.#drop(job, new BottleneckError(what))
      return false
    }
    const full = this.jobs.queued() >= boundOf(this.settings) && !this.free(weight)
    if (this.#blocks(full)) return true
    if (full && !this.#mayEvict(priority)) {
      this.#drop(job)
      return true
    }
    const { key: id } = job
    const ticket = this.places.acquire({ id, priority: -priority, ...(weight !== 1 && this.#takes(weight)) })
    // If it already has its slot, the event has reported that.
    if (job.status === 'RECEIVED') this.#queue(job, full)
    ticket.then(
      (place) => this.#begin(job, place),
      (error) => this.#turnedAway(job, error),
    )
    return full
  }

  /** Whether the limiter is blocked, or becomes blocked by this job, in which case all waiting jobs are dropped. */
  #blocks(full: boolean): boolean {
    if (this.settings.strategy !== strategy.BLOCK) return false
    const now = this.starts.clock.now()
    if (!full && now > this.#blockedUntil) return false
    this.#blockedUntil = now + penaltyOf(this.settings)
    this.places.clear()
    for (const key of this.jobs.keys('RECEIVED')) this.#drop(this.jobs.get(key)!)
    return true
  }

  /** Whether a full queue makes room for a job of this priority. */
  #mayEvict(priority: number): boolean {
    const { strategy: chosen = strategy.LEAK } = this.settings
    if (boundOf(this.settings) === 0) return false
    return (
      chosen === strategy.LEAK || (chosen === strategy.OVERFLOW_PRIORITY && this.jobs.lessUrgent(priority))
    )
  }

  /** What a job takes: whole slots, and its weight of the reservoir. */
  #takes(weight: number): { weight: number; cost: { requests: number } } {
    const { maxConcurrent = Infinity } = this.settings
    return { weight: Math.min(Math.ceil(weight), Math.floor(maxConcurrent)), cost: { requests: weight } }
  }

  /** Whether a job of this weight would not have to wait. */
  free(weight: number): boolean {
    if (!(weight <= (this.settings.maxConcurrent ?? Infinity))) return false
    const ticket = this.places.tryAcquire(this.#takes(Math.max(0, weight)))
    ticket?.release()
    return ticket !== undefined && this.starts.waitTime() === 0
  }

  #queue(job: QueuedJob, reachedHWM: boolean): void {
    this.jobs.move(job, 'QUEUED')
    this.#tellOf('queued', job, { reachedHWM, blocked: false })
  }

  /** A job has its slot. */
  #placed(job: QueuedJob | undefined): void {
    if (!job) return
    if (job.status === 'RECEIVED') this.#queue(job, false)
    this.jobs.move(job, 'RUNNING')
    this.jobs.running += job.options.weight
    const { empty } = this.jobs
    if (empty) this.#tell('empty')
    if (this.settings.reservoir !== undefined && this.places.available() === 0) this.#tell('depleted', empty)
    this.#tellOf('scheduled', job)
  }

  /** Waits for the start time, and for the provider. */
  #begin(job: QueuedJob, place: Ticket): void {
    if (job.status !== 'RUNNING') return place.release()
    // A job that does not have to wait, as most, needs no id in the queue.
    const now = this.starts.tryAcquire()
    if (now) {
      inNextTurn(() => job.begin({ place, start: now }))
      return
    }
    this.starts.acquire({ id: job.key }).then(
      (start) => inNextTurn(() => job.begin({ place, start })),
      (error) => {
        place.release()
        this.#turnedAway(job, error)
      },
    )
  }

  #turnedAway(job: QueuedJob | undefined, error: unknown): void {
    if (!job || job.status === 'EXECUTING') return
    const ours = error instanceof QueueFullError || error instanceof QueueClearedError
    this.#drop(job, ours ? new BottleneckError(this.dropsWith) : error)
  }

  #drop(job: QueuedJob, error: unknown = new BottleneckError(DROPPED)): void {
    this.jobs.drop(job, error, this.settings.rejectOnDrop ?? true)
    this.#tellLeft()
  }

  async #execute(job: QueuedJob, place: Ticket, start: Ticket): Promise<void> {
    if (job.status !== 'RUNNING') {
      start.release()
      return place.release()
    }
    this.lastStart = this.starts.clock.now()
    this.jobs.move(job, 'EXECUTING')
    let ticket = start
    for (;;) {
      this.#tellOf('executing', job, { retryCount: job.retryCount })
      try {
        const value = await this.#work(job)
        ticket.finish()
        this.#over(job, place)
        return job.resolve(value)
      } catch (error) {
        const again = await this.#again(job, ticket, error)
        if (!again) {
          this.#over(job, place)
          return job.reject(error)
        }
        ticket = again
      }
      job.retryCount++
      this.#tellOf('scheduled', job)
    }
  }

  /** Runs the work once. */
  #work({ task, args, options }: QueuedJob): unknown {
    const { chained } = this
    const work = () =>
      chained ? chained.schedule(options, task as never, ...(args as never[])) : task(...(args as never[]))
    const { expiration } = options
    return expiration === undefined || expiration === null ? work() : expiring(expiration, work)
  }

  /**
   * The ticket for another attempt: after the wait that a listener chose, or when the provider accepts calls
   * again.
   */
  async #again(job: QueuedJob, ticket: Ticket, error: unknown): Promise<Ticket | undefined> {
    const chosen = this.#events.heard('failed')
      ? await this.#events.trigger('failed', error, job.tries)
      : undefined
    if (chosen !== undefined) {
      const waitMs = Math.min(Math.max(Math.trunc(Number(chosen)) || 0, 0), LONGEST_MS)
      this.#tell('retry', `Retrying ${job.options.id} after ${waitMs} ms`, job.tries)
      await new Promise((resolve) => setTimeout(resolve, waitMs))
      return ticket
    }
    try {
      // For a callback, the error is the first of its results.
      return await ticket.refuse(Array.isArray(error) ? error[0] : error)
    } catch (refused) {
      if (refused instanceof LimiterError) this.#tell('error', refused)
      return undefined
    }
  }

  /** A job has ended. */
  #over(job: QueuedJob, place: Ticket): void {
    const { weight } = job.options
    this.jobs.move(job, 'DONE')
    this.#tellOf('done', job, { retryCount: job.retryCount })
    this.jobs.running -= weight
    this.jobs.done += weight
    place.finish()
    if (this.jobs.running === 0 && this.jobs.empty) this.#tell('idle')
    this.#tellLeft()
  }

  #tellLeft(): void {
    for (const resolve of this.#whenLeft.splice(0)) resolve()
  }
}
