// Bottleneck's limiter, built from two limiters, because a job of Bottleneck waits twice. The stages of a job are
// in job-flow.ts.

import { BucketRateLimiter, type Store } from 'llmiter'
import { text } from '../lib/validate.ts'
import { connectionOf } from './connection.ts'
import { BottleneckError } from './errors.ts'
import { Events } from './events.ts'
import { QueuedJob, Jobs, LAST_PRIORITY, type Task } from './job.ts'
import { JobFlow } from './job-flow.ts'
import { given, numberOf, placeOptions, startOptions } from './settings.ts'
import type * as Types from './types.ts'

const STOPPED = 'This limiter has been stopped.'
const LATE = 'This limiter has been stopped and cannot accept new jobs.'
const UPGRADE =
  "Bottleneck v2 takes a single object argument. Refer to https://github.com/SGrondin/bottleneck#upgrading-to-v2 if you're upgrading from Bottleneck v1."

type Fn<A extends unknown[], R> = (...args: A) => PromiseLike<R> | R

/** A function whose calls run as jobs. */
export type Wrapped<A extends unknown[], R> = ((...args: A) => Promise<R>) & {
  /** Calls it with options for the job. */
  withOptions(options: Types.BottleneckJobOptions, ...args: A): Promise<R>
}

/** Bottleneck's API on llmiter's limiters. */
export class Bottleneck {
  /** The id from the options. */
  id: string
  readonly #events: Events<this>
  readonly #jobs: Jobs
  readonly #flow: JobFlow
  readonly #connection: Types.SharedConnection | undefined
  readonly #shared: boolean
  /** Listens to an event. Returns the limiter. */
  declare on: <E extends keyof Types.Listeners>(name: E, listener: Types.Listeners[E]) => this
  /** Listens to the next event of this name. Returns the limiter. */
  declare once: <E extends keyof Types.Listeners>(name: E, listener: Types.Listeners[E]) => this
  /** Removes the listeners of an event, or all. */
  declare removeAllListeners: (name?: string) => void

  /** @throws BottleneckError when an option is wrong. */
  constructor(options: Types.BottleneckOptions = {}, ...more: unknown[]) {
    if (typeof options !== 'object' || options === null || more.length > 0) throw new BottleneckError(UPGRADE)
    const settings = given(options)
    this.id = settings.id ?? '<no-id>'
    this.#events = new Events(this)
    this.#jobs = new Jobs(this.#events, settings.trackDoneStatus ?? false)
    this.#connection = connectionOf(settings, (error) => void this.#events.trigger('error', error))
    const store: Store | undefined = settings.store ?? this.#connection?.store
    this.#shared = store !== undefined
    const common = { ramp: false, ...(store && { store }) } as const
    const places = new BucketRateLimiter({
      ...common,
      name: `${this.id}/places`,
      ...placeOptions(settings, this.#shared),
    })
    const starts = new BucketRateLimiter({ ...common, name: `${this.id}/starts`, ...startOptions(settings) })
    this.#flow = new JobFlow(settings, this.#jobs, this.#events, { places, starts })
    if (settings.reservoir !== undefined && settings.reservoir < 0 && !this.#shared)
      this.#fillTo(settings.reservoir)
  }

  /** Resolves immediately with the clients. */
  ready(): Promise<Types.RedisClients> {
    return Promise.resolve(this.clients())
  }

  /** The Redis client, if there is one. */
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

  /** Leaves the store, and closes the connection that this limiter created. */
  async disconnect(flush = true): Promise<void> {
    if (!this.#shared) return
    this.#flow.places.stop()
    this.#flow.starts.stop()
    if (this.#flow.settings.connection === undefined) await this.#connection?.disconnect(flush)
  }

  /** Jobs of this limiter also pass through another one. Without an argument, they no longer do. */
  chain(limiter?: Bottleneck): this {
    this.#flow.chained = limiter
    return this
  }

  /** The number of waiting jobs, of one priority or of all. */
  queued(priority?: number): number {
    return this.#jobs.queued(priority)
  }

  /** The number of waiting jobs in this process. Those of other processes are unknown. */
  clusterQueued(): Promise<number> {
    return Promise.resolve(this.queued())
  }

  /** Whether no job waits. */
  empty(): boolean {
    return this.#jobs.empty
  }

  /** The number of taken slots. */
  running(): Promise<number> {
    return Promise.resolve(this.#jobs.running)
  }

  /** The total weight of finished jobs. */
  done(): Promise<number> {
    return Promise.resolve(this.#jobs.done)
  }

  /** The state of a job, or null if it is unknown. */
  jobStatus(id: string): Types.JobStatus | null {
    return this.#jobs.get(id)?.status ?? null
  }

  /** The ids of all jobs, or of those in this state. */
  jobs(status?: Types.JobStatus): string[] {
    return this.#jobs.keys(status)
  }

  /** The number of jobs in each state. */
  counts(): Types.JobCounts {
    return this.#jobs.counts() as Types.JobCounts
  }

  /** Whether a job of this weight would run immediately. */
  async check(weight = 1): Promise<boolean> {
    await undefined
    return this.#flow.free(Number(weight))
  }

  /** For groups: how long no job has started, in ms. 0 while there are jobs. */
  idleMs(): number {
    return this.#jobs.open > 0 ? 0 : this.#flow.starts.clock.now() - this.#flow.lastStart
  }

  /** Calls `fn` when its turn comes, and resolves with its result. After a 429 it waits and is called again. */
  schedule<A extends unknown[], R>(fn: Fn<A, R>, ...args: A): Promise<R>
  /** Like above, with options for the job. */
  schedule<A extends unknown[], R>(options: Types.BottleneckJobOptions, fn: Fn<A, R>, ...args: A): Promise<R>
  schedule(first: unknown, ...rest: unknown[]): Promise<unknown> {
    const job =
      typeof first === 'function'
        ? this.#jobOf({}, first as Task, rest)
        : this.#jobOf(first, rest.shift() as Task, rest)
    this.#flow.receive(job)
    return job.promise
  }

  /** Like `schedule`, for a function whose last argument is a callback. Resolves when the job was accepted. */
  submit<A extends unknown[]>(
    fn: (...args: A) => void,
    ...args: A extends [...infer B, infer C] ? [...B, C | null | undefined] : never
  ): Promise<boolean>
  /** Like above, with options for the job. */
  submit<A extends unknown[]>(
    options: Types.BottleneckJobOptions,
    fn: (...args: A) => void,
    ...args: A extends [...infer B, infer C] ? [...B, C | null | undefined] : never
  ): Promise<boolean>
  submit(...all: unknown[]): Promise<boolean> {
    const options = typeof all[0] === 'function' ? {} : all.shift()
    const [fn, ...rest] = all
    const callback = rest.pop() as ((...results: unknown[]) => void) | null | undefined
    const task = (...args: unknown[]) =>
      new Promise((resolve, reject) => {
        const back = (...results: unknown[]) => (results[0] ? reject : resolve)(results)
        ;(fn as (...args: unknown[]) => void)(...args, back)
      })
    const job = this.#jobOf(options, task as Task, rest)
    const told = (results: unknown) => callback?.(...(Array.isArray(results) ? results : [results]))
    void job.promise.then(told, told)
    return new Promise((resolve) => this.#flow.receive(job, resolve))
  }

  /** Returns a function whose calls run as jobs. `this` is passed on. */
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

  /** Changes the settings for jobs from now on. Resolves with the limiter. */
  async updateSettings(options: Types.BottleneckOptions = {}): Promise<this> {
    await undefined
    if (typeof options !== 'object')
      throw new BottleneckError(`updateSettings takes an object, got ${text(options)}`)
    const { reservoir: said, ...others } = options ?? {}
    const reservoir = said === undefined ? undefined : (numberOf('reservoir', said) ?? null)
    const before = this.#flow.settings.reservoir
    // The initial amount stays, because refills are counted from it.
    const first = reservoir === undefined || (reservoir !== null && before !== undefined) ? before : reservoir
    // Nothing changes if an option is wrong.
    const settings = given({ ...this.#flow.settings, ...others, reservoir: first })
    this.#flow.places.update(placeOptions(settings, this.#shared))
    this.#flow.starts.update(startOptions(settings))
    this.#flow.settings = settings
    this.id = settings.id ?? this.id
    if (typeof reservoir === 'number' && !this.#shared) this.#fillTo(reservoir)
    return this
  }

  /** Sets the amount in the reservoir. A negative amount is a debt. */
  #fillTo(reservoir: number): void {
    this.#flow.places.refill(reservoir - this.#flow.places.available())
  }

  /** The amount left in the reservoir, or null without a reservoir. */
  currentReservoir(): Promise<number | null> {
    return Promise.resolve(this.#flow.settings.reservoir === undefined ? null : this.#flow.places.available())
  }

  /** Adds to the reservoir. Resolves with the new amount. */
  async incrementReservoir(amount = 0): Promise<number> {
    if (this.#flow.settings.reservoir === undefined) await this.updateSettings({ reservoir: amount })
    else {
      await undefined
      const left = this.#flow.places.available() + amount
      this.#flow.places.refill(amount)
      return left
    }
    return amount
  }

  /** Accepts no more jobs. Resolves when the running jobs, or all jobs, are done. */
  stop(options: Types.BottleneckStopOptions = {}): Promise<void> {
    if (this.#flow.refusesWith !== undefined)
      return Promise.reject(new BottleneckError('stop() has already been called'))
    const all = options.dropWaitingJobs === false
    const done = all
      ? this.schedule({ priority: LAST_PRIORITY, weight: 0 }, () => this.#flow.left(1))
      : Promise.resolve().then(() => this.#flow.dropAll(options.dropErrorMessage ?? STOPPED))
    this.#flow.refusesWith = options.enqueueErrorMessage ?? LATE
    return done
  }

  #jobOf(options: unknown, task: Task, args: unknown[]): QueuedJob {
    return new QueuedJob(
      task,
      args,
      options ?? {},
      (this.#flow.settings.Promise ?? Promise) as PromiseConstructor,
    )
  }
}
