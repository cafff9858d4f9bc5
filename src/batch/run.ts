// One job: reads items while there is room, runs them, and hands out the results. The reading side and the result
// side both wait for changes of state, and every change wakes them.

import { type BucketRateLimiter, type CallOptions, LimiterStoppedError, QuotaExhaustedError } from 'llmiter'
import { context } from '../lib/async-context.ts'
import { type BatchOptions, type BatchResult, type LimiterOf, sourceOf } from './options.ts'
import { countOf, Outlook, Pace, type Progress } from './progress.ts'
import { leastWords, summaryText } from './summary.ts'

/** The maximum number of waiting calls. Without a limiter, the maximum number of running calls. */
const AHEAD = 100
/** The maximum number of results that wait to be read. */
const MOST_RESULTS = 1000

type Source<T> = Iterator<T> | AsyncIterator<T>

export class Batch<T, R, K> {
  readonly #items: Iterable<T> | AsyncIterable<T>
  readonly #fn: (item: T, index: number, signal: AbortSignal) => R
  readonly #options: BatchOptions<T, K>
  readonly #limiterOf: LimiterOf | undefined
  readonly #outlook = new Outlook()
  /** The abort controllers of unfinished calls. Each call has its own, because SDKs add a listener to its signal. */
  readonly #calls = new Set<AbortController>()
  readonly #results = new Map<number, BatchResult<T, R, K>>()
  #wakers: (() => void)[] = []
  /** Calls that have started and not ended. */
  #active = 0
  /** Those of them that wait for their first ticket. */
  #inLine = 0
  /** Calls without a limiter known here. */
  #free = 0
  /** How many items have been started. */
  #begun = 0
  /** How many results have been handed out, in order. */
  #given = 0
  /** Why no more items are started, although there may be more. */
  #failure: { error: unknown } | undefined
  /** Whether the unfinished calls have been aborted. */
  #abandoned = false
  /** Whether the reader has stopped reading results. */
  #left = false
  #end: { error?: unknown } | undefined
  #reading = false
  #pace: Pace | undefined
  #perMs = 0
  /** The clock of the first limiter, or the system clock. */
  #clock: { now(): number } | undefined
  #startedAt = 0
  readonly #progress: Progress = { done: 0, failed: 0, skipped: 0, perMinute: 0 }

  constructor(
    items: Iterable<T> | AsyncIterable<T>,
    fn: (item: T, index: number, signal: AbortSignal) => R,
    options: BatchOptions<T, K>,
  ) {
    this.#items = items
    this.#fn = fn
    this.#options = options
    this.#limiterOf = sourceOf(options.limiter)
    // What the items call may have its own limiter.
    context.wanted = true
    const total = options.total ?? countOf(items)
    if (total !== undefined) this.#progress.total = total
  }

  /**
   * A generator that can end while its next result is awaited. A plain generator would wait for that result first.
   */
  results(): AsyncGenerator<BatchResult<T, R, K>, void, void> {
    const results = this.#generate()
    const leave = results.return.bind(results)
    return Object.assign(results, {
      return: () => {
        this.#left = true
        this.#giveUp(new Error('the job was aborted'))
        return leave()
      },
    })
  }

  async *#generate(): AsyncGenerator<BatchResult<T, R, K>, void, void> {
    const { signal } = this.#options
    const abort = () => this.#fail(signal!.reason)
    signal?.addEventListener('abort', abort)
    let source: Source<T> | undefined
    try {
      signal?.throwIfAborted()
      source = iteratorOf(this.#items)
      void this.#read(source)
      while (!this.#left) {
        const result = this.#take()
        if (result) yield result
        else if (this.#over) break
        else await this.#something()
      }
      if (this.#left) return
      if (this.#failure) throw this.#lastWord(this.#failure.error)
      if (this.#end && 'error' in this.#end) throw this.#end.error
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#left = true
      this.#giveUp(new Error('the job is over'))
      if (source && !this.#end) await this.#leave(source)
      this.#sum()
    }
  }

  /** Ends the job. Finished results are still handed out, because they may have cost money. */
  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#giveUp(error)
  }

  #giveUp(reason: unknown): void {
    this.#abandoned = true
    for (const call of this.#calls) call.abort(reason)
    this.#calls.clear()
    this.#wake()
  }

  /** Whether no more items are read. */
  get #closed(): boolean {
    return this.#left || this.#failure !== undefined
  }

  /** Whether no further results will be added. */
  get #over(): boolean {
    return this.#abandoned || (this.#active === 0 && (this.#end ?? this.#failure) !== undefined)
  }

  #take(): BatchResult<T, R, K> | undefined {
    const place = this.#next
    const result = place === undefined ? undefined : this.#results.get(place)
    if (place === undefined || !result) return undefined
    this.#results.delete(place)
    this.#given++
    this.#wake()
    return result
  }

  get #next(): number | undefined {
    const places = this.#results.keys()
    if (!this.#options.ordered) return places.next().value
    // Some of the earlier results may never come.
    return this.#over && this.#results.size > 0 ? Math.min(...places) : this.#given
  }

  /** Reads items while there is room. */
  async #read(source: Source<T>): Promise<void> {
    const { skip, key } = this.#options
    try {
      for (let index = 0; !this.#closed; index++) {
        while (!this.#room) {
          await this.#something()
          if (this.#closed) return
        }
        this.#reading = true
        const { done, value: item } = await source.next()
        this.#reading = false
        if (done) break
        if (this.#closed) return
        const name = (key ? key(item, index) : index) as K
        if (skip?.has(name)) this.#progress.skipped++
        else void this.#run(item, index, name)
      }
      if (this.#closed) return
      this.#end = {}
    } catch (error) {
      this.#end = { error }
      if (!this.#reading) await this.#leave(source).catch(() => {})
      this.#reading = false
    }
    this.#wake()
  }

  get #room(): boolean {
    const { concurrency } = this.#options
    if (this.#results.size >= MOST_RESULTS) return false
    return concurrency === undefined ? this.#inLine < AHEAD && this.#free < AHEAD : this.#active < concurrency
  }

  async #run(item: T, index: number, key: K): Promise<void> {
    const { model, call, stopOnError } = this.#options
    const place = this.#begun++
    let limiter: BucketRateLimiter | undefined
    let free = false
    let askedAt = 0
    let begunAt: number | undefined
    const begin = () => {
      if (begunAt !== undefined) return
      begunAt = this.#clock?.now() ?? 0
      this.#outlook.begins(begunAt - askedAt, begunAt)
      this.#inLine--
      this.#wake()
    }
    const giveUp = new AbortController()
    this.#calls.add(giveUp)
    this.#active++
    this.#inLine++
    let result: BatchResult<T, R, K>
    try {
      const modelOf = () => (model ? model(item, index) : (Object(item) as { model?: string }).model)
      limiter = this.#limiterOf?.(modelOf)
      askedAt = this.#tick(limiter)
      const own: CallOptions = typeof call === 'function' ? call(item, index) : (call ?? {})
      const signal = own.signal ? AbortSignal.any([own.signal, giveUp.signal]) : giveUp.signal
      const work = (given: AbortSignal | undefined) => {
        begin()
        return this.#fn(item, index, given ?? signal)
      }
      if (limiter) this.#outlook.asks(limiter, own)
      else {
        free = true
        this.#free++
      }
      const value = (await (limiter ? limiter.run(work, { ...own, signal }) : work(signal))) as R
      result = { index, key, item, ok: true, value }
      if (begunAt !== undefined) this.#outlook.ends(this.#clock!.now() - begunAt, value)
    } catch (error) {
      result = { index, key, item, ok: false, error }
    }
    begin()
    this.#active--
    if (free) this.#free--
    this.#calls.delete(giveUp)
    if (result.ok) this.#keep(place, result, limiter)
    else if (concernsAll(result.error)) this.#failure ??= result
    else if (this.#abandoned) return
    else if (stopOnError) this.#fail(result.error)
    else this.#keep(place, result, limiter)
    this.#wake()
  }

  #keep(place: number, result: BatchResult<T, R, K>, limiter: BucketRateLimiter | undefined): void {
    if (this.#left) return
    this.#results.set(place, result)
    this.#tell(result.ok, limiter)
  }

  /** Returns the time. The job's clock starts with the first item. */
  #tick(limiter: BucketRateLimiter | undefined): number {
    this.#clock ??= limiter?.clock ?? performance
    const now = this.#clock.now()
    if (!this.#pace) {
      this.#pace = new Pace(now)
      this.#startedAt = now
    }
    return now
  }

  /** How many items have not asked for a ticket, if known. Items to skip that were not read yet are included. */
  #unread(): number | undefined {
    const { total, skipped } = this.#progress
    if (total === undefined) return undefined
    const { size } = Object(this.#options.skip) as { size?: number }
    const unread = Math.max(0, total - this.#begun - skipped)
    return Math.max(0, unread - Math.max(0, (size ?? 0) - skipped))
  }

  /** Creates the summary of the job. */
  #sum(): void {
    const { done, failed, skipped, total } = this.#progress
    const ms = this.#clock ? this.#clock.now() - this.#startedAt : 0
    const { self, failure, ...counted } = this.#outlook.summary()
    const sum = { done, failed, skipped, ...counted, ms }
    const { least } = sum
    const text = summaryText({
      ...{ ...sum, self },
      ...(total !== undefined && { total }),
      ...(least && { against: leastWords(least) }),
      ...(failure !== undefined && { failure }),
    })
    this.#options.onSummary?.({ ...sum, text })
  }

  /** Adds to the error how far the job got. */
  #lastWord(error: unknown): unknown {
    if (!concernsAll(error)) return error
    const { done, failed, skipped, total } = this.#progress
    const others = total === undefined ? 'the others' : `${total - done - skipped} others`
    const message = `${error.message}; ${done} items are over, ${failed} of them failed, and ${others} were not tried`
    return error instanceof QuotaExhaustedError
      ? new QuotaExhaustedError(message, error.cause)
      : new LimiterStoppedError(message, error.cause)
  }

  #tell(ok: boolean, limiter: BucketRateLimiter | undefined): void {
    const progress = this.#progress
    progress.done++
    if (!ok) progress.failed++
    if (this.#clock && this.#pace) {
      this.#perMs = this.#pace.next(this.#clock.now())
      progress.perMinute = this.#perMs * 60_000
    }
    try {
      this.#options.onProgress?.({ ...progress, ...this.#eta() })
    } catch (error) {
      limiter?.report(error, 'onProgress')
    }
  }

  #eta(): Pick<Progress, 'etaMs'> {
    const unread = this.#unread()
    if (unread === undefined || !this.#clock) return {}
    const { concurrency = Infinity } = this.#options
    const [inLine, running, perMs] = [this.#inLine, this.#active - this.#inLine, this.#perMs]
    return { etaMs: this.#outlook.etaMs({ unread, inLine, running, concurrency, perMs }, this.#clock.now()) }
  }

  /** Closes the iterator of the items. Does not wait for an item that is being read, since it may never come. */
  async #leave(source: Source<T>): Promise<void> {
    const left = (async () => source.return?.())()
    if (this.#reading) left.catch(() => {})
    else await left
  }

  #something(): Promise<void> {
    return new Promise((resolve) => this.#wakers.push(resolve))
  }

  #wake(): void {
    const wakers = this.#wakers
    this.#wakers = []
    for (const wake of wakers) wake()
  }
}

/** Whether the error means that neither this item nor any later one can run. */
const concernsAll = (error: unknown): error is QuotaExhaustedError | LimiterStoppedError =>
  error instanceof QuotaExhaustedError || error instanceof LimiterStoppedError

function iteratorOf<T>(items: Iterable<T> | AsyncIterable<T>): Source<T> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
}
