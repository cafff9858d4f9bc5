// The errors of the limiter itself. Whatever the wrapped function throws reaches the caller untouched.
//
// `instanceof` works between the ESM and the CJS copy of the package: a brand on the instance decides.

const BRAND = Symbol.for('llmiter.error')

/** The code of a `LimiterError`, for `switch`. */
export type LimiterErrorCode =
  | 'QUEUE_FULL'
  | 'QUEUE_CLEARED'
  | 'WAIT_TIMEOUT'
  | 'CALL_TIMEOUT'
  | 'REQUEST_TOO_LARGE'
  | 'QUOTA_EXHAUSTED'
  | 'LIMITER_STOPPED'
  | 'STORE_DOWN'
  | 'PROVIDER_UNHEALTHY'
  | 'TICKET_OVER'
  | 'NO_TARGET'
  | 'BUDGET_EXCEEDED'
  | 'UNKNOWN_PRICE'

/** Every error that the limiter itself makes. `code` says which; `cause` holds the original, if there is one. */
export class LimiterError extends Error {
  /** Which error it is. */
  readonly code!: LimiterErrorCode

  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = (new.target as unknown as { code: LimiterErrorCode }).code
    Object.defineProperty(this, BRAND, { value: true })
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this, value)) return true
    if (typeof value !== 'object' || value === null || !(BRAND in value)) return false
    if (this === LimiterError) return true
    return (
      Object.hasOwn(this, 'code') &&
      (value as { code?: unknown }).code === (this as unknown as { code: unknown }).code
    )
  }
}

/** The queue held `queue.max` calls already, or this call was evicted for a more urgent one. */
export class QueueFullError extends LimiterError {
  /** The name of the class. */
  override name = 'QueueFullError'
  static readonly code = 'QUEUE_FULL'
}

/** The ticket did not come within `maxWaitMs`. `cause` is the provider's last refusal, if there was one. */
export class WaitTimeoutError extends LimiterError {
  /** The name of the class. */
  override name = 'WaitTimeoutError'
  /** What the call waited for: a dimension, `'concurrency'`, `'gate'`, `'pause'`, or `'retry'` after a failure. */
  readonly waitingOn?: string
  /** About how much longer the call would have waited, in ms; `Infinity` while the limiter is paused without an end. */
  readonly leftMs!: number
  static readonly code = 'WAIT_TIMEOUT'
}

/** The call itself took longer than `timeoutMs`. */
export class CallTimeoutError extends LimiterError {
  /** The name of the class. */
  override name = 'CallTimeoutError'
  static readonly code = 'CALL_TIMEOUT'
}

/** The cost is more than a limit can ever hold. */
export class RequestTooLargeError extends LimiterError {
  /** The name of the class. */
  override name = 'RequestTooLargeError'
  static readonly code = 'REQUEST_TOO_LARGE'
}

/** The provider has said that money or quota is used up; `cause` is what it said. */
export class QuotaExhaustedError extends LimiterError {
  /** The name of the class. */
  override name = 'QuotaExhaustedError'
  static readonly code = 'QUOTA_EXHAUSTED'
}

/** `clear()` was called while the call waited. `cause` is its reason. */
export class QueueClearedError extends LimiterError {
  /** The name of the class. */
  override name = 'QueueClearedError'
  static readonly code = 'QUEUE_CLEARED'
}

/** `stop()` was called. */
export class LimiterStoppedError extends LimiterError {
  /** The name of the class. */
  override name = 'LimiterStoppedError'
  static readonly code = 'LIMITER_STOPPED'
}

/** `refuse()` of a ticket that was given back before. */
export class TicketOverError extends LimiterError {
  /** The name of the class. */
  override name = 'TicketOverError'
  static readonly code = 'TICKET_OVER'
}

/** The store that holds a shared limit is out of reach, and `onStoreDown` is `'reject'`. */
export class StoreDownError extends LimiterError {
  /** The name of the class. */
  override name = 'StoreDownError'
  static readonly code = 'STORE_DOWN'
}
