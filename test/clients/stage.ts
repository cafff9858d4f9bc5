// The stage of the stories: an SDK, bare and limited, and a provider on loopback.

import { expect } from 'vitest'
import { BucketRateLimiter, type LimiterOptions } from 'llmiter'
import type { ClientLimits, ClientOptions } from 'llmiter/fetch'
import { type Reply, type Server, startServer } from './server.ts'

/** A provider and its SDK, as far as the stories go. */
export interface Cast<C extends object> {
  name: string
  /** A bare client of this server. */
  client(url: string, options?: { maxRetries?: number; timeout?: number }): C
  limit(client: C, limits: ClientLimits, options?: ClientOptions): C
  /** Resolves with the words of the answer. */
  plain(client: C, call?: { signal?: AbortSignal; headers?: Record<string, string> }): Promise<string>
  /** Resolves when the headers are there; yields the words. */
  stream(client: C, call?: { signal?: AbortSignal }): Promise<AsyncIterable<string>>
  /** What the SDK throws when its caller gives a call up, and when it is refused. */
  abortError: new (...args: never[]) => Error
  refusedError: new (...args: never[]) => Error
  replies: {
    plain(): Reply
    stream(more?: Partial<Reply>): Reply
    rate(headers?: Record<string, string>): Reply
    rateSilent(): Reply
    overload(): Reply
    quota(): Reply
    oversize(): Reply
    broken(): Reply
    /** A stream that is refused after its first words. */
    refusedMidway(): Reply
  }
  /** It is `fetch` itself: without retries, without a timeout, without anything before it sends. */
  isFetch?: true
  /** Features that this SDK lacks. Their tests are skipped, or are in another file. */
  lacks?: readonly Lack[]
  /** Where its errors carry the status. Default 'status'. */
  status?: 'statusCode'
  /** What it throws encloses what was thrown below it. */
  encloses?: true
  /** What it says when its timeout has passed. */
  timedOut?: RegExp
  /** The tokens of the plain answer and of the stream. */
  used: { inputTokens: number; outputTokens: number }
}

type Lack =
  /** The number of its own retries, and of those after a lost connection. */
  | 'retries'
  | 'reconnects'
  /** The headers of an answer, or of an error. */
  | 'headers'
  /** The end of a stream that is left. */
  | 'leaving'
  /** An error for a refusal in the middle of a stream. */
  | 'midway'
  /** A charge for the output. */
  | 'output'
  /** A client that can be limited once only. */
  | 'twice'

export const lacks = <C extends object>(cast: Cast<C>, ...any: Lack[]): boolean =>
  any.some((one) => cast.lacks?.includes(one))

const AMOUNT = 1_000_000

export interface Stage<C> {
  server: Server
  limiter: BucketRateLimiter
  bare: C
  client: C
  /** What was used of a limit: counted by the day, so exact at any time. */
  used(of: string): number
}

/** A limiter that never holds anyone for long, and whose counts are exact. */
export function quickLimiter(options: Partial<LimiterOptions> = {}): BucketRateLimiter {
  return new BucketRateLimiter({
    name: 'quick',
    requestsPerMinute: 60_000,
    limits: ['requests', 'tokens', 'inputTokens', 'outputTokens'].map((of) => ({
      of,
      amount: AMOUNT,
      per: '1d',
    })),
    ramp: false,
    recovery: { minMs: 20, maxMs: 60 },
    ...options,
  })
}

export const usedOf = (limiter: BucketRateLimiter, of: string): number =>
  AMOUNT - limiter.stats().limits.find((limit) => limit.of === of && limit.perMs > 60_000)!.available

export async function stageFor<C extends object>(
  cast: Cast<C>,
  options: Partial<LimiterOptions> = {},
  clientOptions: { maxRetries?: number; timeout?: number } = {},
): Promise<Stage<C>> {
  const server = await startServer()
  const limiter = quickLimiter(options)
  const bare = cast.client(server.url, clientOptions)
  return { server, limiter, bare, client: cast.limit(bare, limiter), used: (of) => usedOf(limiter, of) }
}

/** What comes of a promise, so that two can be compared: errors by class, message and status. */
export async function outcome(promise: Promise<unknown>): Promise<unknown> {
  try {
    return { value: await promise }
  } catch (error) {
    const { constructor, message, status } = error as Error & { status?: number }
    return { thrown: constructor, message, status }
  }
}

/** Waits for what must come soon. */
export async function soon(check: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !check(); i++) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(check()).toBe(true)
}

export const read = async (words: AsyncIterable<string>) => {
  let text = ''
  for await (const word of words) text += word
  return text
}

export const EMPTY = { waiting: 0, parked: 0, inFlight: 0 }

/** Enters a new stage, and leaves the one before. */
export type Enter<C> = (options?: Partial<LimiterOptions>, clientOptions?: object) => Promise<Stage<C>>
