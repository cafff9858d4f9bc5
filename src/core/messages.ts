// The messages to a ticket issuer.

/** What a refusal says to the issuer. */
export interface RefusalReport {
  kind: 'rate' | 'overload'
  of?: string | undefined
  waitMs?: number | undefined
  /** The traffic is not too high, but it grew too fast. */
  slowDown?: boolean | undefined
}

/** What a header says: of a dimension, the limit and what is left of it. */
export interface LimitReading {
  of: string
  perMs?: number | undefined
  limit?: number | undefined
  remaining?: number | undefined
  resetMs?: number | undefined
}
