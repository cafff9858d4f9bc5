// Bottleneck's limiter, made of two limiters, because a job of Bottleneck waits twice.
//
//   places   QUEUED → RUNNING     how many run at once, the reservoir, priorities, a full queue
//   starts   RUNNING → EXECUTING  the time between two starts, and the provider: a job that is refused keeps its place,
//                                 and waits here until the provider accepts calls again
//
// The limiter's events say what happens to a job in the queue, by the job's id, and do so at once: so counts are
// never late.

import {
  BucketRateLimiter,
  LimiterError,
  QueueClearedError,
  QueueFullError,
  type Store,
  type Ticket,
} from 'llmiter'
import { connectionOf } from './connection.ts'
import { BottleneckError } from './errors.ts'
import { Events } from './events.ts'
import { QueuedJob, Jobs, LAST_PRIORITY, type Task } from './job.ts'
import { given, penaltyOf, placeOptions, startOptions, strategy } from './settings.ts'
import type * as Types from './types.ts'

const DROPPED = 'This job has been dropped by Bottleneck'
const STOPPED = 'This limiter has been stopped.'
const LATE = 'This limiter has been stopped and cannot accept new jobs.'
const UPGRADE =
  "Bottleneck v2 takes a single object argument. Refer to https://github.com/SGrondin/bottleneck#upgrading-to-v2 if you're upgrading from Bottleneck v1."

/** The next turn of the event loop, one for all that wait for it: what ends in this one ends before new jobs start. */
let nextTurn: Promise<void> | undefined
const turn = (): Promise<void> =>
  (nextTurn ??= new Promise((resolve) => {
    const begin = () => {
      nextTurn = undefined
      resolve()
    }
    if (typeof setImmediate === 'function') setImmediate(begin)
    else setTimeout(begin, 0)
  }))

type Fn<A extends unknown[], R> = (...args: A) => PromiseLike<R> | R

/** A function whose calls are jobs. */
export type Wrapped<A extends unknown[], R> = ((...args: A) => Promise<R>) & {
  /** The same for one call, with options of its job. */
  withOptions(options: Types.BottleneckJobOptions, ...args: A): Promise<R>
}

/** Bottleneck's API over limiters of llmiter. */
export class Bottleneck {
  /** The id of the options. */
  id: string
  readonly #events: Events<this>
  readonly #jobs: Jobs
  readonly #places: BucketRateLimiter
  readonly #starts: BucketRateLimiter
  readonly #connection: Types.SharedConnection | undefined
  readonly #shared: boolean
  #settings: ReturnType<typeof given>
  #chained: Bottleneck | undefined
  /** The message that later jobs fail with, once stopped. */
  #refusesWith: string | undefined
  #dropsWith = DROPPED
  #blockedUntil = -Infinity
  #lastStart: number
  /** Jobs are taken one after the other. */
  #taking: Promise<void> = Promise.resolve()
  readonly #whenLeft: (() => void)[] = []
  /** Listens to an event. Returns the limiter. */
  declare on: <E extends keyof Types.Listeners>(name: E, listener: Types.Listeners[E]) => this
  /** Listens to the next event of this name. Returns the limiter. */
  declare once: <E extends keyof Types.Listeners>(name: E, listener: Types.Listeners[E]) => this
  /** Removes the listeners of an event, or all. */
  declare removeAllListeners: (name?: string) => void

  /** @throws BottleneckError when an option is wrong. */
  constructor(options: Types.BottleneckOptions = {}, ...more: unknown[]) {
    if (typeof options !== 'object' || options === null || more.length > 0) throw new BottleneckError(UPGRADE)
    const settings = (this.#settings = given(options))
    this.id = settings.id ?? '<no-id>'
    this.#events = new Events(this)
    this.#jobs = new Jobs(this.#events, settings.trackDoneStatus ?? false)
    this.#connection = connectionOf(settings, (error) => void this.#events.trigger('error', error))
    const store: Store | undefined = settings.store ?? this.#connection?.store
    this.#shared = store !== undefined
    const common = { ramp: false, ...(store && { store }) } as const
    this.#places = new BucketRateLimiter({
      ...common,
      name: `${this.id}/places`,
      ...placeOptions(settings, this.#shared),
    })
    this.#starts = new BucketRateLimiter({ ...common, name: `${this.id}/starts`, ...startOptions(settings) })
    this.#lastStart = this.#starts.clock.now()
    this.#places.on('issue', ({ id }) => this.#placed(this.#jobs.get(id)))
    for (const limiter of [this.#places, this.#starts]) {
      limiter.on('reject', ({ id, error }) => this.#turnedAway(this.#jobs.get(id), error))
      limiter.on('error', ({ error }) => void this.#events.trigger('error', error))
    }
  }

  /** Resolves with the clients, when the limiter can be used: at once. */
  ready(): Promise<Types.RedisClients> {
    return Promise.resolve(this.clients())
  }

  /** The client of Redis, if there is one. */
  clients(): Types.RedisClients {
    return this.#connection?.clients ?? {}
  }

  /** The name of the channel of this limiter. */
  channel(): string {
    return `b_${this.id}`
  }

  /** Emits `message` to the listeners of this limiter, in this process only. */
  async publish(message: string): Promise<void> {
    await undefined
    void this.#events.trigger('message', String(message))
  }

  /** Leaves the store, and closes the connection that this limiter has made. */
  async disconnect(flush = true): Promise<void> {
    if (!this.#shared) return
    this.#places.stop()
    this.#starts.stop()
    if (this.#settings.connection === undefined) await this.#connection?.disconnect(flush)
  }

  /** Jobs of this limiter are also jobs of another one; none: they no longer are. */
  chain(limiter?: Bottleneck): this {
    this.#chained = limiter
    return this
  }

  /** How many jobs wait, of one priority or of all. */
  queued(priority?: number): number {
    return this.#jobs.queued(priority)
  }

  /** How many jobs wait here: those of other processes are not known. */
  clusterQueued(): Promise<number> {
    return Promise.resolve(this.queued())
  }

  /** Whether no job waits. */
  empty(): boolean {
    return this.#jobs.empty
  }

  /** How many places are taken. */
  running(): Promise<number> {
    return Promise.resolve(this.#jobs.running)
  }

  /** The weight of all jobs that are done. */
  done(): Promise<number> {
    return Promise.resolve(this.#jobs.done)
  }

  /** Where a job stands; null when it is not known. */
  jobStatus(id: string): Types.JobStatus | null {
    return this.#jobs.get(id)?.status ?? null
  }

  /** The ids of all jobs, or of those that stand there. */
  jobs(status?: Types.JobStatus): string[] {
    return this.#jobs.keys(status)
  }

  /** How many jobs stand where. */
  counts(): Types.JobCounts {
    return this.#jobs.counts() as Types.JobCounts
  }

  /** Whether a job of this weight would run at once. */
  async check(weight = 1): Promise<boolean> {
    await undefined
    return this.#free(weight)
  }

  /** For groups: how long no job has started, in ms; 0 while there are jobs. */
  idleMs(): number {
    return this.#jobs.open > 0 ? 0 : this.#starts.clock.now() - this.#lastStart
  }

  /** Calls `fn` when its turn comes, and resolves with its result. Refused with 429, it waits and is called again. */
  schedule<A extends unknown[], R>(fn: Fn<A, R>, ...args: A): Promise<R>
  /** The same with options of the job. */
  schedule<A extends unknown[], R>(options: Types.BottleneckJobOptions, fn: Fn<A, R>, ...args: A): Promise<R>
  schedule(...all: unknown[]): Promise<unknown> {
    const [options, task, ...args] = withOptions(all)
    const job = this.#jobOf(options, task as Task, args)
    void this.#receive(job)
    return job.promise
  }

  /** The same for a function whose last argument is a callback. Resolves when the job was taken. */
  submit<A extends unknown[]>(
    fn: (...args: A) => void,
    ...args: A extends [...infer B, infer C] ? [...B, C | null | undefined] : never
  ): Promise<boolean>
  /** The same with options of the job. */
  submit<A extends unknown[]>(
    options: Types.BottleneckJobOptions,
    fn: (...args: A) => void,
    ...args: A extends [...infer B, infer C] ? [...B, C | null | undefined] : never
  ): Promise<boolean>
  submit(...all: unknown[]): Promise<boolean> {
    const [options, fn, ...rest] = withOptions(all)
    const callback = rest.pop() as ((...results: unknown[]) => void) | null | undefined
    const task = (...args: unknown[]) =>
      new Promise((resolve, reject) => {
        const back = (...results: unknown[]) => (results[0] ? reject : resolve)(results)
        ;(fn as (...args: unknown[]) => void)(...args, back)
      })
    const job = this.#jobOf(options, task as Task, rest)
    const told = (results: unknown) => callback?.(...(Array.isArray(results) ? results : [results]))
    void job.promise.then(told, told)
    return this.#receive(job)
  }

  /** A function whose calls are jobs. `this` is passed on. */
  wrap<A extends unknown[], R>(fn: Fn<A, R>): Wrapped<A, R> {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- `this` of the function is its caller's
    const limiter = this
    const wrapped = function (this: unknown, ...args: A): Promise<R> {
      return limiter.schedule<A, R>(fn.bind(this) as Fn<A, R>, ...args)
    }
    return Object.assign(wrapped, {
      withOptions: (options: Types.BottleneckJobOptions, ...args: A) =>
        limiter.schedule<A, R>(options, fn, ...args),
    })
  }

  /** Other settings for jobs from now on. Resolves with the limiter. */
  async updateSettings(options: Types.BottleneckOptions = {}): Promise<this> {
    await undefined
    const { reservoir, ...others } = options
    const before = this.#settings.reservoir
    // What was there at first stays what it was: refills are counted from it.
    const first = reservoir === undefined || (reservoir !== null && before !== undefined) ? before : reservoir
    this.#settings = given({ ...this.#settings, ...others, reservoir: first })
    this.id = this.#settings.id ?? this.id
    this.#places.update(placeOptions(this.#settings, this.#shared))
    this.#starts.update(startOptions(this.#settings))
    if (typeof reservoir === 'number' && before !== undefined && !this.#shared)
      this.#places.refill(reservoir - this.#places.available())
    return this
  }

  /** How much is left in the reservoir; null when there is none. */
  currentReservoir(): Promise<number | null> {
    return Promise.resolve(this.#settings.reservoir === undefined ? null : this.#places.available())
  }

  /** Adds to the reservoir, and resolves with what is there. */
  async incrementReservoir(amount = 0): Promise<number> {
    if (this.#settings.reservoir === undefined) await this.updateSettings({ reservoir: amount })
    else {
      await undefined
      const left = this.#places.available() + amount
      this.#places.refill(amount)
      return left
    }
    return amount
  }

  /** No more jobs. Resolves when those that are being done, or all, are through. */
  stop(options: Types.BottleneckStopOptions = {}): Promise<void> {
    if (this.#refusesWith !== undefined)
      return Promise.reject(new BottleneckError('stop() has already been called'))
    const all = options.dropWaitingJobs === false
    const done = all
      ? this.schedule({ priority: LAST_PRIORITY, weight: 0 }, () => this.#left(1))
      : Promise.resolve().then(() => this.#dropAll(options.dropErrorMessage ?? STOPPED))
    this.#refusesWith = options.enqueueErrorMessage ?? LATE
    return done
  }

  async #dropAll(message: string): Promise<void> {
    this.#dropsWith = message
    this.#places.clear()
    this.#starts.clear()
    for (const status of ['RECEIVED', 'QUEUED', 'RUNNING'] as const)
      for (const key of this.jobs(status)) this.#drop(this.#jobs.get(key)!, new BottleneckError(message))
    await this.#left(0)
  }

  /** Resolves when at most this many jobs are open. */
  async #left(most: number): Promise<void> {
    while (this.#jobs.open > most) await new Promise<void>((resolve) => this.#whenLeft.push(resolve))
  }

  #jobOf(options: Types.BottleneckJobOptions, task: Task, args: unknown[]): QueuedJob {
    return new QueuedJob(task, args, options, (this.#settings.Promise ?? Promise) as PromiseConstructor)
  }

  #tell(name: string, ...args: unknown[]): void {
    if (this.#events.heard(name)) void this.#events.trigger(name, ...args)
  }

  #receive(job: QueuedJob): Promise<boolean> {
    const refused =
      this.#refusesWith ??
      (this.#jobs.get(job.key) && `A job with the same id already exists (id=${job.options.id})`)
    if (refused !== undefined) {
      job.reject(new BottleneckError(refused))
      return Promise.resolve(false)
    }
    this.#jobs.move(job, 'RECEIVED')
    this.#tell('received', job.info)
    const taken = this.#taking.then(() => job.status === 'RECEIVED' && this.#enqueue(job))
    // A job that has its place at once may be done before the next one is queued, whatever that one's priority.
    this.#taking = taken.then(() => (job.status === 'QUEUED' ? undefined : turn().then(turn)))
    return taken
  }

  /** Returns whether the queue was full. */
  #enqueue(job: QueuedJob): boolean {
    const { weight, priority } = job.options
    const { maxConcurrent, highWater } = this.#settings
    if (maxConcurrent !== undefined && weight > maxConcurrent) {
      const what = `Impossible to add a job having a weight of ${weight} to a limiter having a maxConcurrent setting of ${maxConcurrent}`
      this.#drop(job, new BottleneckError(what))
      return false
    }
    const full = highWater !== undefined && this.queued() >= highWater && !this.#free(weight)
    if (this.#blocks(full)) return true
    if (full && !this.#mayEvict(priority)) {
      this.#drop(job)
      return true
    }
    const { key: id } = job
    const size = weight === 1 ? undefined : { weight, cost: { requests: weight } }
    const ticket = this.#places.acquire({ id, priority: -priority, ...size })
    // Where it has its place already, the event has said so.
    if (job.status === 'RECEIVED') this.#queue(job, full)
    ticket.then(
      (place) => this.#begin(job, place),
      (error) => this.#turnedAway(job, error),
    )
    return full
  }

  /** Whether the limiter is blocked, or is by this job; then it drops all that wait. */
  #blocks(full: boolean): boolean {
    if (this.#settings.strategy !== strategy.BLOCK) return false
    const now = this.#starts.clock.now()
    if (!full && now > this.#blockedUntil) return false
    this.#blockedUntil = now + penaltyOf(this.#settings)
    this.#places.clear()
    for (const key of this.jobs('RECEIVED')) this.#drop(this.#jobs.get(key)!)
    return true
  }

  /** Whether a full queue makes room for a job of this priority. */
  #mayEvict(priority: number): boolean {
    const { strategy: chosen = strategy.LEAK, highWater } = this.#settings
    if (highWater === 0) return false
    return (
      chosen === strategy.LEAK || (chosen === strategy.OVERFLOW_PRIORITY && this.#jobs.lessUrgent(priority))
    )
  }

  /** Whether a job of this weight need not wait. */
  #free(weight: number): boolean {
    if (weight > (this.#settings.maxConcurrent ?? Infinity)) return false
    const ticket = this.#places.tryAcquire({ weight, cost: { requests: weight } })
    ticket?.release()
    return ticket !== undefined && this.#starts.waitTime() === 0
  }

  #queue(job: QueuedJob, reachedHWM: boolean): void {
    this.#jobs.move(job, 'QUEUED')
    this.#tell('queued', { ...job.info, reachedHWM, blocked: false })
  }

  /** A job has its place. */
  #placed(job: QueuedJob | undefined): void {
    if (!job) return
    if (job.status === 'RECEIVED') this.#queue(job, false)
    this.#jobs.move(job, 'RUNNING')
    this.#jobs.running += job.options.weight
    const { empty } = this.#jobs
    if (empty) this.#tell('empty')
    if (this.#settings.reservoir !== undefined && this.#places.available() === 0)
      this.#tell('depleted', empty)
    this.#tell('scheduled', job.info)
  }

  /** Waits for the time to start, and for the provider. */
  #begin(job: QueuedJob, place: Ticket): void {
    if (job.status !== 'RUNNING') return place.release()
    // Who need not wait, mostly all, need no name in the queue.
    const now = this.#starts.tryAcquire()
    if (now) {
      void turn().then(() => this.#execute(job, place, now))
      return
    }
    this.#starts.acquire({ id: job.key }).then(
      (start) => void turn().then(() => this.#execute(job, place, start)),
      (error) => {
        place.release()
        this.#turnedAway(job, error)
      },
    )
  }

  #turnedAway(job: QueuedJob | undefined, error: unknown): void {
    if (!job || job.status === 'EXECUTING') return
    const ours = error instanceof QueueFullError || error instanceof QueueClearedError
    this.#drop(job, ours ? new BottleneckError(this.#dropsWith) : error)
  }

  #drop(job: QueuedJob, error: unknown = new BottleneckError(DROPPED)): void {
    this.#jobs.drop(job, error, this.#settings.rejectOnDrop ?? true)
    this.#tellLeft()
  }

  async #execute(job: QueuedJob, place: Ticket, start: Ticket): Promise<void> {
    if (job.status !== 'RUNNING') {
      start.release()
      return place.release()
    }
    this.#lastStart = this.#starts.clock.now()
    this.#jobs.move(job, 'EXECUTING')
    let ticket = start
    for (;;) {
      this.#tell('executing', job.tries)
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
      this.#tell('scheduled', job.info)
    }
  }

  /** Does the work once, within this time. */
  async #work(job: QueuedJob): Promise<unknown> {
    const { task, args, options } = job
    const chained = this.#chained
    const work = () =>
      chained ? chained.schedule(options, task as never, ...(args as never[])) : task(...(args as never[]))
    const { expiration } = options
    if (expiration === undefined || expiration === null) return work()
    let timer: ReturnType<typeof setTimeout> | undefined
    const expired = new Promise((_, reject) => {
      const late = () => reject(new BottleneckError(`This job timed out after ${expiration} ms.`))
      timer = setTimeout(late, expiration)
    })
    try {
      return await Promise.race([work(), expired])
    } finally {
      clearTimeout(timer)
    }
  }

  /** The ticket for another try: after the wait that a listener chose, or when the provider accepts calls again. */
  async #again(job: QueuedJob, ticket: Ticket, error: unknown): Promise<Ticket | undefined> {
    const chosen = this.#events.heard('failed')
      ? await this.#events.trigger('failed', error, job.tries)
      : undefined
    if (chosen !== undefined) {
      const waitMs = Math.trunc(Number(chosen)) || 0
      this.#tell('retry', `Retrying ${job.options.id} after ${waitMs} ms`, job.tries)
      await new Promise((resolve) => setTimeout(resolve, waitMs))
      return ticket
    }
    try {
      // A callback's error stands first among its results.
      return await ticket.refuse(Array.isArray(error) ? error[0] : error)
    } catch (refused) {
      if (refused instanceof LimiterError) this.#tell('error', refused)
      return undefined
    }
  }

  /** A job is done, one way or the other. */
  #over(job: QueuedJob, place: Ticket): void {
    const { weight } = job.options
    this.#jobs.move(job, 'DONE')
    this.#tell('done', job.tries)
    this.#jobs.running -= weight
    this.#jobs.done += weight
    place.finish()
    if (this.#jobs.running === 0 && this.#jobs.empty) this.#tell('idle')
    this.#tellLeft()
  }

  #tellLeft(): void {
    for (const resolve of this.#whenLeft.splice(0)) resolve()
  }
}

/** The options of a job stand before its function, or are missing. */
function withOptions(all: unknown[]): [Types.BottleneckJobOptions, ...unknown[]] {
  return typeof all[0] === 'function'
    ? [{}, ...all]
    : [(all[0] ?? {}) as Types.BottleneckJobOptions, ...all.slice(1)]
}
