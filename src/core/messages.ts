// What is said to a ticket issuer.

/** What a refusal says to the issuer. */
export interface RefusalReport {
  kind: 'rate' | 'overload'
  of?: string | undefined
  waitMs?: number | undefined
  /** It is not too much that is sent, but too much more than before. */
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
