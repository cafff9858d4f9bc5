// The events of calls.

import type { Billed } from '../responses/billed.ts'
import type { Refusal } from '../responses/verdict.ts'

/** Whose call it is: the `id` that the call was given, if it was. */
interface CallId {
  /** The `id` of the call's options. */
  id?: string
}

export interface CallEvents {
  /** A call asks for a ticket. */
  request: CallId & { waiting: number }
  /** A ticket was issued. `waitMs`: since the call came or was refused. `waiting`: calls that still wait. */
  issue: CallId & { waitedMs: number; waiting: number }
  /** A call begins with its ticket, in its caller's own async context: what is active there (a span) is the caller's. */
  start: CallId & { waitedMs: number }
  /** A call ended: answered (`ok`) or failed with an error of its own; `failure` is its status and its name. */
  finish: CallId & { ok: boolean; ms: number; failure?: string }
  /** An answer reported its tokens, as they are billed: `input` (including `cached`) and `output`. */
  usage: CallId & Billed & { tenant?: string }
  /** A stream gave its `first` token, or the next one; its reader waited `ms` for it. */
  chunk: CallId & { first: boolean; ms: number }
  /** The provider refused a call. */
  refuse: CallId & { verdict: Refusal; error: unknown }
  /** The refused call waits at the front of the queue. */
  park: CallId & { parked: number; refusals: number }
  /** The limiter rejected a call: the queue is full, the wait too long, the limiter stopped, or the call aborted. */
  reject: CallId & { error: unknown }
  /** No call waits in the queue any more. */
  empty: Record<never, never>
  /** A transient failure will be tried again. */
  retry: CallId & { attempt: number; delayMs: number; error: unknown }
  /** A call was refused ten times, has been parked for five minutes, or its stream is not being read. */
  stuck: CallId & { refusals: number; parkedMs: number; reason: string }
  /** Code of yours threw (a listener, a probe, `usage`, `classify`, the clock). Calls are not affected. */
  error: { error: unknown; where: string }
}

/** Where calls emit their events. */
export interface EventSink {
  /** The events that have a listener. The others are not created. */
  readonly heard: { has(name: keyof CallEvents): boolean }
  emit<E extends keyof CallEvents>(name: E, event: CallEvents[E]): void
}
