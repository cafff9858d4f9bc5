// The options of one call, and their check.

import type { CallOptions, Usage } from 'llmiter'
import { duration } from '../lib/duration.ts'
import { isObject, number, text } from '../lib/validate.ts'

/** The options of one call. Fields of your own are seen by `sticky` and by conditions. */
export interface PoolCall extends Pick<
  CallOptions,
  'cost' | 'request' | 'signal' | 'priority' | 'tenant' | 'maxWaitMs' | 'timeoutMs'
> {
  /** The one target that may answer: where the file, batch or stored response that the call speaks of is kept. */
  readonly target?: string
  /**
   * For budgets: what was used, read from an answer, or from each chunk of a stream. Of an answer it may be told later.
   * Default: as all known SDKs tell it.
   */
  readonly usage?: (answer: unknown) => Usage | undefined | Promise<Usage | undefined>
  /** `false`: it is sent, whatever `coalesce` and `cache` know. */
  readonly share?: boolean
  readonly [field: string]: unknown
}

/** Throws what is wrong with the options, or the reason of a signal that is aborted already. */
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
