// What a client is told when its call was not answered.

import { LimiterError } from 'llmiter'
import type { BudgetExceededError } from 'llmiter/pool'
import { BrokenError, GatewayError, UpstreamError } from './errors.ts'

type Words = (error: Error, waitMs: () => number) => GatewayError

/** Messages by the code of the limiter's or the pool's error. */
const WORDS: Record<string, Words> = {
  WAIT_TIMEOUT: (error, waitMs) =>
    new GatewayError(429, 'wait_too_long', error.message, { retryAfterMs: waitMs() }),
  QUEUE_FULL: (error, waitMs) =>
    new GatewayError(429, 'queue_full', error.message, { retryAfterMs: waitMs() }),
  REQUEST_TOO_LARGE: (error) =>
    new GatewayError(413, 'request_too_large', error.message, { mayRetry: false }),
  QUOTA_EXHAUSTED: (error, waitMs) =>
    new GatewayError(429, 'quota_exhausted', error.message, { retryAfterMs: waitMs(), mayRetry: false }),
  LIMITER_STOPPED: (error) => new GatewayError(503, 'shutting_down', error.message, { retryAfterMs: 1000 }),
  STORE_DOWN: (error) => new GatewayError(503, 'store_down', error.message, { retryAfterMs: 1000 }),
  NO_TARGET: (error) => new GatewayError(503, 'no_target', error.message, { retryAfterMs: 10_000 }),
  BUDGET_EXCEEDED: (error) =>
    new GatewayError(402, 'budget_exceeded', error.message, {
      mayRetry: false,
      retryAfterMs: resetIn((error as BudgetExceededError).resetsAt),
    }),
}

const resetIn = (at: number | undefined) => (at === undefined ? undefined : Math.max(0, at - Date.now()))

/** Converts an error into the one for the client. */
export function wordsOf(error: unknown, waitMs: () => number): unknown {
  if (error instanceof UpstreamError || error instanceof GatewayError) return error
  if (error instanceof LimiterError) return WORDS[error.code]?.(error, waitMs) ?? error
  const { code } = Object(error) as { code?: unknown }
  if (!(error instanceof BrokenError) && !CONNECTION.test(String(code))) return error
  // The provider's address is not disclosed to clients.
  const why =
    error instanceof BrokenError ? error.message : `the connection to the provider failed (${String(code)})`
  return new GatewayError(502, 'upstream_failed', why, { cause: error, retryAfterMs: 1000 })
}

/** Node's codes for failed connections. Its `ERR_…` codes for wrong arguments are not included. */
const CONNECTION = /^(E[A-Z]+|HPE_\w+|ERR_(SSL|TLS)_\w+|(CERT|UNABLE|DEPTH|SELF)_\w+)$/
