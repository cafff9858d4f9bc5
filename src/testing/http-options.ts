/** What an HTTP provider is told, and what it has seen. */

import type { Clock } from '../scheduler/clock.ts'
import type { ModelProvider, Refused } from './provider.ts'

/** Options of `startHttpProvider`. */
export interface HttpProviderOptions {
  /**
   * The limits: one provider for whatever model name a request holds, or one for each name, and then any other
   * name is answered with 404.
   */
  model: ModelProvider | Readonly<Record<string, ModelProvider>>
  /**
   * Ms from an admitted request to the first byte of its answer. A refusal goes out at once.
   * @default 0
   */
  latencyMs?: number | (() => number)
  /**
   * The pace at which an answer is produced.
   * @default the whole answer at once
   */
  tokensPerSecond?: number
  /**
   * The natural length of an answer; a request may ask for fewer tokens.
   * @default 16
   */
  answerTokens?: number | (() => number)
  /**
   * What goes wrong beside the limits, asked once for each request to a model.
   * @default nothing
   */
  chaos?: (request: { index: number; path: string; model: string; stream: boolean }) => HttpFault | undefined
  /**
   * @default the system clock
   */
  /**
   * Where time comes from.
   * @default the system's clock
   */
  clock?: Clock
}

/**
 * A fault of one request.
 *
 * - a refusal, whatever the limits say: `{ kind: 'refused', why: 'quota', status: 429 }`
 * - `fails`: an answer with this status, a 500 for example
 * - `hangs`: let in, and then nothing
 * - `drops`: let in, and the connection breaks; in a stream after so many tokens (default: 0)
 * - `refuses-midway`: let in, and a stream that ends after so many tokens (default: 0) with a rate limit error
 */
export type HttpFault =
  | Refused
  | { kind: 'fails'; status: number }
  | { kind: 'hangs' }
  | { kind: 'drops'; afterTokens?: number }
  | { kind: 'refuses-midway'; afterTokens?: number }

/** One request to a model, in the order of arrival. */
export interface HttpRequestRecord {
  /** When it came, in ms of the server's clock. */
  atMs: number
  /** The path of the request. */
  path: string
  /** The model that it named. */
  model: string
  /** 0 while there is no answer, and for ever when it hangs or the connection breaks before one. */
  status: number
  /** Tokens that were produced, also when nobody was left to read them. */
  outputTokens: number
  /** Whether the client was gone before the end. */
  left: boolean
}

/** What the server has seen so far; it changes while the server runs. */
export interface HttpRequestCounters {
  /** Also those that hang, by chaos or in the black hole of a model. */
  readonly admitted: number
  /** Refusals of all kinds, by the limits and by chaos. */
  readonly refused: number
  /** Answers by their status, those to bad requests too. */
  readonly byStatus: Readonly<Record<number, number>>
  /** Each request to a model. */
  readonly log: readonly Readonly<HttpRequestRecord>[]
}
