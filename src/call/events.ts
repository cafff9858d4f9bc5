// The events of calls.

import type { Billed } from '../responses/billed.ts'
import type { Refusal } from '../responses/verdict.ts'

/** Identifies the call by its `id`, if it was given one. */
interface CallId {
  /** The `id` from the call's options. */
  id?: string
}

export interface CallEvents {
  /** A call asks for a ticket. `tryAcquire` and calls of a pool emit it when they get one, before `issue`. */
  request: CallId & { waiting: number }
  /**
   * A ticket was issued. `waitedMs` counts from the request or the last refusal. `waiting` is the number of calls
   * still waiting.
   */
  issue: CallId & { waitedMs: number; waiting: number }
  /** A call starts with its ticket, in its caller's async context. So an active span there is the caller's span. */
  start: CallId & { waitedMs: number }
  /**
   * A call ended. `ok`: it was answered. Otherwise it failed with its own error, and `failure` holds the status
   * and name.
   */
  finish: CallId & { ok: boolean; ms: number; failure?: string }
  /** An answer reported its billed tokens: `input` (including `cached`) and `output`. */
  usage: CallId & Billed & { tenant?: string }
  /** A stream delivered its `first` token or a later one. Its reader waited `ms` for it. */
  chunk: CallId & { first: boolean; ms: number }
  /** The provider refused a call. */
  refuse: CallId & { verdict: Refusal; error: unknown }
  /** The refused call waits at the front of the queue. */
  park: CallId & { parked: number; refusals: number }
  /**
   * The limiter rejected a call: the queue is full, the wait is too long, or the limiter was stopped or the call
   * aborted.
   */
  reject: CallId & { error: unknown }
  /** The queue has become empty. */
  empty: Record<never, never>
  /** A transient failure will be retried. */
  retry: CallId & { attempt: number; delayMs: number; error: unknown }
  /** A call was refused ten times, has been parked for five minutes, or nobody reads its stream. */
  stuck: CallId & { refusals: number; parkedMs: number; reason: string }
  /** User code threw: a listener, a probe, `usage`, `classify` or the clock. Calls are not affected. */
  error: { error: unknown; where: string }
}

/** Where calls emit their events. */
export interface EventSink {
  /** The events that have a listener. Other events are not created. */
  readonly heard: { has(name: keyof CallEvents): boolean }
  emit<E extends keyof CallEvents>(name: E, event: CallEvents[E]): void
}
