// A call whose result is a stream keeps its ticket until the stream is over. One that nobody reads gives it back
// when it is garbage collected, or after five minutes: so nothing here may refer to the stream itself.

import { judge, settle } from './answer.ts'
import type { Appointment } from './engine.ts'
import { mergeUsage, type Usage } from './feedback/usage.ts'
import { guarded } from './guard.ts'
import { isStream, type Watcher, watchStream } from './stream.ts'
import type { Waiter } from './waiter.ts'

/** Holds the ticket if the value is a stream that can be watched. Returns what to give to the caller. */
export function hold(waiter: Waiter, value: unknown): object | undefined {
  const { desk } = waiter.terms
  if (!guarded(() => isStream(value), desk, 'stream')) return undefined
  const held = new Held(waiter)
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
  #used: Usage | undefined
  #lastAt: number
  #idle: Appointment

  constructor(waiter: Waiter) {
    this.#waiter = waiter
    this.#lastAt = waiter.terms.desk.engine.now()
    this.#idle = this.#look()
  }

  chunk(chunk: unknown): void {
    const { desk, usage } = this.#waiter.terms
    this.#lastAt = desk.engine.now()
    if (!desk.metered) return
    if (!usage) this.#used = mergeUsage(this.#used, chunk)
    else this.#used = guarded(() => usage(chunk as never), desk, 'usage') ?? this.#used
  }

  end(failure?: { error: unknown }, left = false): void {
    this.release()
    const waiter = this.#waiter
    if (waiter.state !== 'in flight') return
    const verdict = failure && judge(waiter, failure)
    if (verdict && verdict.kind !== 'transient')
      waiter.terms.desk.refuse(waiter, verdict, failure.error, false)
    else settle(waiter, left ? undefined : this.#used, failure ? 'failed' : 'ok')
  }

  abandon(reason: string): void {
    this.#waiter.terms.desk.events.emit('stuck', { refusals: 0, parkedMs: 0, reason })
    this.end()
  }

  release(): void {
    unread?.unregister(this)
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
