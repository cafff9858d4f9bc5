// A call whose result is a stream keeps its ticket until the stream is over. One that nobody reads gives it back
// when it is garbage collected, or after five minutes: so nothing here may refer to the stream itself.

import { concede, settle } from './outcome.ts'
import type { Appointment } from '../scheduler/scheduler.ts'
import { mergeUsage, type Usage } from '../responses/usage.ts'
import { guarded } from './safe-call.ts'
import { Latency } from './token-latency.ts'
import { watch } from '../lib/abort.ts'
import { isStream, type Watcher, watchStream } from '../lib/observe-stream.ts'
import type { Waiter } from './pending-call.ts'

type Reading = (chunk: unknown) => Usage | undefined

/**
 * Holds the ticket if the value is a stream that can be watched. Returns what to give to the caller. `reading` is
 * given each chunk, and `undefined` at the end, and returns all that was used so far.
 */
export function hold(waiter: Waiter, value: unknown, reading?: Reading): object | undefined {
  const { desk } = waiter.terms
  if (!guarded(() => isStream(value), desk, 'stream')) return undefined
  const held = new Held(waiter, reading)
  const stream = guarded(() => watchStream(value as object, held), desk, 'stream')
  if (!stream) {
    held.release()
    return undefined
  }
  desk.answered(waiter)
  unread?.register(stream, held, held)
  return stream
}

class Held implements Watcher {
  reading = 0
  readonly #waiter: Waiter
  readonly #reading: Reading | undefined
  readonly #latency: Latency | undefined
  #used: Usage | undefined
  readonly #unwatch: (() => void) | undefined
  #lastAt: number
  #idle: Appointment

  constructor(waiter: Waiter, reading: Reading | undefined) {
    this.#waiter = waiter
    this.#reading = reading
    const { signal } = waiter.terms
    // While it is being read, its own end tells more.
    this.#unwatch = signal && watch(signal, () => this.reading || this.end({ error: signal.reason }))
    this.#latency = Latency.of(waiter)
    this.#lastAt = waiter.terms.desk.engine.now()
    this.#idle = this.#look()
  }

  ask(): void {
    this.#latency?.ask()
  }

  chunk(chunk: unknown): void {
    const { desk, usage } = this.#waiter.terms
    this.#lastAt = desk.engine.now()
    this.#latency?.chunk(chunk, this.reading, this.#lastAt)
    if (this.#reading) this.#read(chunk)
    else if (!desk.metered) return
    else if (!usage) this.#used = mergeUsage(this.#used, chunk)
    else this.#used = guarded(() => usage(chunk as never), desk, 'usage') ?? this.#used
  }

  #read(chunk: unknown): void {
    this.#used = guarded(() => this.#reading!(chunk), this.#waiter.terms.desk, 'usage') ?? this.#used
  }

  end(failure?: { error: unknown }, left = false): void {
    this.release()
    const waiter = this.#waiter
    if (waiter.state !== 'in flight') return
    if (this.#reading && !failure && !left) this.#read(undefined)
    // One that broke, or was left, has told of its usage only a part.
    if (failure) concede(waiter, failure.error)
    else settle(waiter, left ? undefined : this.#used)
  }

  abandon(reason: string): void {
    if (this.#waiter.state === 'in flight')
      this.#waiter.terms.desk.events.emit('stuck', { refusals: 0, parkedMs: 0, reason })
    this.end()
  }

  release(): void {
    unread?.unregister(this)
    this.#unwatch?.()
    this.#waiter.terms.desk.engine.forget(this.#idle)
  }

  #look(): Appointment {
    const { desk, streamIdleMs } = this.#waiter.terms
    const look = () => {
      const quietMs = desk.engine.now() - this.#lastAt
      if (quietMs < streamIdleMs) this.#idle = this.#look()
      else this.abandon(`a stream was not read for ${quietMs} ms`)
    }
    return desk.engine.at(this.#lastAt + streamIdleMs, look, false)
  }
}

const unread =
  typeof FinalizationRegistry === 'function'
    ? new FinalizationRegistry((held: Held) => held.abandon('a stream was never read to its end'))
    : undefined
