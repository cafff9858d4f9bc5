// The limiter's own errors. Whatever the wrapped function throws reaches the caller unchanged.
//
// `instanceof` works across the ESM and CJS copies of the package because it checks a brand on the instance.

const BRAND = Symbol.for('llmiter.error')

/** The code of a `LimiterError`, for use in `switch`. */
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

/** Base class of the limiter's own errors. `code` identifies the error. `cause` holds the original error, if any. */
export class LimiterError extends Error {
  /** Identifies the error. */
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

/** The queue already held `queue.max` calls, or this call was evicted for one of higher priority. */
export class QueueFullError extends LimiterError {
  /** The name of the class. */
  override name = 'QueueFullError'
  static readonly code = 'QUEUE_FULL'
}

/** The call got no ticket within `maxWaitMs`. `cause` is the provider's last refusal, if there was one. */
export class WaitTimeoutError extends LimiterError {
  /** The name of the class. */
  override name = 'WaitTimeoutError'
  /** What the call waited for: the dimension of a limit, or else the `kind` of a `WaitReason`. */
  readonly waitingOn?: string
  /**
   * Estimate of how much longer the call would have waited, in ms. `Infinity` while the limiter is paused without
   * an end.
   */
  readonly leftMs!: number
  static readonly code = 'WAIT_TIMEOUT'
}

/** The call itself took longer than `timeoutMs`. */
export class CallTimeoutError extends LimiterError {
  /** The name of the class. */
  override name = 'CallTimeoutError'
  static readonly code = 'CALL_TIMEOUT'
}

/** The cost exceeds what a limit can ever hold. */
export class RequestTooLargeError extends LimiterError {
  /** The name of the class. */
  override name = 'RequestTooLargeError'
  static readonly code = 'REQUEST_TOO_LARGE'
}

/** The provider reported that the quota or the account's credit is used up. `cause` is the provider's answer. */
export class QuotaExhaustedError extends LimiterError {
  /** The name of the class. */
  override name = 'QuotaExhaustedError'
  static readonly code = 'QUOTA_EXHAUSTED'
}

/** `clear()` was called while the call waited. `cause` is the reason given to `clear()`. */
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

/** `refuse()` was called on a ticket that had already ended. */
export class TicketOverError extends LimiterError {
  /** The name of the class. */
  override name = 'TicketOverError'
  static readonly code = 'TICKET_OVER'
}

/** The store of a shared limit cannot be reached, and `onStoreDown` is `'reject'`. */
export class StoreDownError extends LimiterError {
  /** The name of the class. */
  override name = 'StoreDownError'
  static readonly code = 'STORE_DOWN'
}
