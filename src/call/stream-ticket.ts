// A call that returns a stream keeps its ticket until the stream ends. A stream that nobody reads returns the
// ticket when it is garbage collected, or after five minutes. So nothing here may hold a reference to the stream
// itself.

import { concede, settle, tellUsage } from './outcome.ts'
import type { ScheduledTask } from '../scheduler/scheduler.ts'
import { failureIn } from '../responses/stream-events.ts'
import { type Billed, billedOf, mergeBilled } from '../responses/billed.ts'
import { mergeUsage, type Usage } from '../responses/usage.ts'
import { safeCall } from './safe-call.ts'
import { TokenLatency } from './token-latency.ts'
import { watch } from '../lib/abort.ts'
import { isStream, type Watcher, watchStream } from '../lib/observe-stream.ts'
import type { PendingCall } from './pending-call.ts'

type Reading = (chunk: unknown) => Usage | undefined

/**
 * Holds the ticket if the value is a stream that can be watched. Returns what the caller gets. `reading` receives
 * each chunk, and `undefined` at the end, and returns the total usage so far.
 */
export function hold(call: PendingCall, value: unknown, reading?: Reading): object | undefined {
  const { runtime } = call.policy
  if (!safeCall(() => isStream(value), runtime, 'stream')) return undefined
  const held = new StreamTicket(call, reading)
  const stream = safeCall(() => watchStream(value as object, held), runtime, 'stream')
  if (!stream) {
    held.release()
    return undefined
  }
  runtime.answered(call)
  unread?.register(stream, held, held)
  return stream
}

class StreamTicket implements Watcher {
  reading = 0
  readonly #call: PendingCall
  readonly #reading: Reading | undefined
  readonly #latency: TokenLatency | undefined
  #used: Usage | undefined
  #billed: Billed | undefined
  /** The failure reported by an event of the stream. The reader sees the event itself. */
  #failure: object | undefined
  readonly #unwatch: (() => void) | undefined
  #lastAt: number
  #idle: ScheduledTask

  constructor(call: PendingCall, reading: Reading | undefined) {
    this.#call = call
    this.#reading = reading
    const { signal } = call.policy
    // While the stream is being read, its own end is more accurate.
    this.#unwatch = signal && watch(signal, () => this.reading || this.end({ error: signal.reason }))
    this.#latency = TokenLatency.of(call)
    this.#lastAt = call.policy.runtime.scheduler.now()
    this.#idle = this.#look()
  }

  ask(): void {
    this.#latency?.ask()
  }

  chunk(chunk: unknown): void {
    const { runtime, usage } = this.#call.policy
    this.#lastAt = runtime.scheduler.now()
    this.#latency?.chunk(chunk, this.reading, this.#lastAt)
    if (this.#reading) this.#read(chunk)
    else this.#failure ??= failureIn(chunk)
    if (this.#reading) return
    if (!usage && runtime.events.heard.has('usage')) this.#billed = mergeBilled(this.#billed, billedOf(chunk))
    if (!runtime.metered) return
    if (!usage) this.#used = mergeUsage(this.#used, chunk)
    else this.#used = safeCall(() => usage(chunk as never), runtime, 'usage') ?? this.#used
  }

  #read(chunk: unknown): void {
    this.#used = safeCall(() => this.#reading!(chunk), this.#call.policy.runtime, 'usage') ?? this.#used
  }

  end(failure?: { error: unknown }, left = false): void {
    this.release()
    const call = this.#call
    if (call.state !== 'in flight') return
    if (this.#reading && !failure && !left) this.#read(undefined)
    // A stream that failed or was abandoned has reported only part of its usage.
    const failed = failure?.error ?? this.#failure
    if (failed !== undefined) concede(call, failed)
    else {
      tellUsage(call, () => this.#billed ?? billedOf(undefined, this.#used))
      settle(call, left ? undefined : this.#used)
    }
  }

  abandon(reason: string): void {
    if (this.#call.state === 'in flight')
      this.#call.policy.runtime.events.emit('stuck', {
        ...this.#call.named,
        refusals: 0,
        parkedMs: 0,
        reason,
      })
    this.end()
  }

  release(): void {
    unread?.unregister(this)
    this.#unwatch?.()
    this.#call.policy.runtime.scheduler.forget(this.#idle)
  }

  #look(): ScheduledTask {
    const { runtime, streamIdleMs } = this.#call.policy
    const look = () => {
      const quietMs = runtime.scheduler.now() - this.#lastAt
      if (quietMs < streamIdleMs) this.#idle = this.#look()
      else this.abandon(`a stream was not read for ${quietMs} ms`)
    }
    return runtime.scheduler.at(this.#lastAt + streamIdleMs, look, false)
  }
}

const unread =
  typeof FinalizationRegistry === 'function'
    ? new FinalizationRegistry((held: StreamTicket) => held.abandon('a stream was never read to its end'))
    : undefined
