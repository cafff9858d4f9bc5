// The options of one call of a pool, and their checks.

import type { CallOptions, Usage } from 'llmiter'
import { duration } from '../lib/duration.ts'
import { isObject, number, text } from '../lib/validate.ts'

/** The options of one call. Extra fields are visible to `sticky` and to conditions. */
export interface PoolCall extends Pick<
  CallOptions,
  'cost' | 'request' | 'signal' | 'priority' | 'tenant' | 'maxWaitMs' | 'timeoutMs'
> {
  /** The only target that may answer: the one that stores the file, batch or response the call refers to. */
  readonly target?: string
  /**
   * For budgets: reads the usage from an answer, or from each chunk of a stream. For an answer it may return a
   * promise.
   * @default reads the answers of all known SDKs
   */
  readonly usage?: (answer: unknown) => Usage | undefined | Promise<Usage | undefined>
  /** `false`: the call is always sent, regardless of `coalesce` and `cache`. */
  readonly share?: boolean
  readonly [field: string]: unknown
}

export const NO_OPTIONS: PoolCall = {}

/** Throws an error for invalid options, or the reason of a signal that is already aborted. */
export function checkCall(call: PoolCall): void {
  if (!isObject(call)) throw new TypeError(`the options of a call must be an object, got ${text(call)}`)
  const { signal, maxWaitMs, timeoutMs, priority } = call
  if (priority !== undefined && !Number.isFinite(priority)) number(priority, 'priority', 'a finite number')
  if (maxWaitMs !== undefined && maxWaitMs !== 0) duration(maxWaitMs, 'maxWaitMs')
  if (timeoutMs !== undefined) duration(timeoutMs, 'timeoutMs')
  if (!signal) return
  if (typeof signal.addEventListener !== 'function')
    throw new TypeError(`signal must be an AbortSignal, got ${text(signal)}`)
  if (signal.aborted) throw signal.reason
}
