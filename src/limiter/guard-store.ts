// How a guard of an endpoint (`llmiter/inbound`) asks a shared store. Types only: the two sides
// do not import each other.

/** At most `amount` in any window of `windowMs`. */
export interface GuardLimit {
  /** Requests in one window. */
  readonly amount: number
  /** The window in ms. */
  readonly windowMs: number
}

/** One request of one client. It is counted on all limits if each has room, else on none. */
export interface GuardQuestion {
  /** Of the guard: guards of one name share their counts. */
  readonly name: string
  /** Of the client. */
  readonly key: string
  /** The limits that the request takes from. */
  readonly limits: readonly GuardLimit[]
}

/** Of each limit, in their order, with this request if it may pass. */
export interface GuardCount {
  /** What counts now. */
  readonly used: number
  /** Until the oldest that counts leaves the window; 0 when nothing counts. */
  readonly resetMs: number
}

/** What a store says of a request. */
export interface GuardAnswer {
  /** Whether the request may pass. */
  readonly allowed: boolean
  /** What each limit has counted. */
  readonly counts: readonly GuardCount[]
}

/** Where the counts of a guard are kept when processes share them: `redisGuardStore` of `llmiter/redis`. */
export interface GuardStore {
  /** Rejects when the store is out of reach. It may also never answer: the guard has a timeout. */
  take(question: GuardQuestion): Promise<GuardAnswer>
}
