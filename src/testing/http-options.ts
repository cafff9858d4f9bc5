/** The options of an HTTP provider, and its records of requests. */

import type { Clock } from '../scheduler/clock.ts'
import type { ModelProvider, Refused } from './provider.ts'

/** Options of `startHttpProvider`. */
export interface HttpProviderOptions {
  /**
   * The limits: one provider for any model name, or one per name, in which case other names are answered with 404.
   */
  model: ModelProvider | Readonly<Record<string, ModelProvider>>
  /**
   * Time in ms from an accepted request to the first byte of its answer. A refusal is sent immediately.
   * @default 0
   */
  latencyMs?: number | (() => number)
  /**
   * The speed at which an answer is produced.
   * @default the whole answer at once
   */
  tokensPerSecond?: number
  /**
   * The natural length of an answer in tokens. A request may ask for fewer.
   * @default 16
   */
  answerTokens?: number | (() => number)
  /**
   * Returns the fault of a request, called once per request to a model.
   * @default no faults
   */
  chaos?: (request: { index: number; path: string; model: string; stream: boolean }) => HttpFault | undefined
  /**
   * @default the system clock
   */
  /**
   * The clock.
   * @default the system clock
   */
  clock?: Clock
}

/**
 * A fault of one request.
 *
 * - a refusal, whatever the limits say: `{ kind: 'refused', why: 'quota', status: 429 }`
 * - `fails`: an answer with this status, for example 500
 * - `hangs`: accepted, but never answered
 * - `drops`: accepted, but the connection breaks; in a stream after this many tokens (default: 0)
 * - `refuses-midway`: accepted, but the stream ends after this many tokens (default: 0) with a rate limit error
 */
export type HttpFault =
  | Refused
  | { kind: 'fails'; status: number }
  | { kind: 'hangs' }
  | { kind: 'drops'; afterTokens?: number }
  | { kind: 'refuses-midway'; afterTokens?: number }

/** One request to a model, in order of arrival. */
export interface HttpRequestRecord {
  /** When it arrived, in ms of the server's clock. */
  atMs: number
  /** The path of the request. */
  path: string
  /** The model named in the request. */
  model: string
  /** 0 while there is no answer, and permanently if it hangs or the connection breaks before an answer. */
  status: number
  /** Tokens that were produced, even if nobody read them. */
  outputTokens: number
  /** Whether the client left before the end. */
  left: boolean
}

/** The server's records so far. They change while the server runs. */
export interface HttpRequestCounters {
  /** Includes requests that hang, by chaos or because the model stays silent. */
  readonly admitted: number
  /** Refusals of all kinds, by the limits and by chaos. */
  readonly refused: number
  /** Answers by status, including those to invalid requests. */
  readonly byStatus: Readonly<Record<number, number>>
  /** Each request to a model. */
  readonly log: readonly Readonly<HttpRequestRecord>[]
}
