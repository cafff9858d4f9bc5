// The interface between a guard of an endpoint (`llmiter/inbound`) and a shared store. Types only, so that neither
// side imports the other.

/** At most `amount` in any window of `windowMs`. */
export interface GuardLimit {
  /** The number of requests in one window. */
  readonly amount: number
  /** The length of the window in ms. */
  readonly windowMs: number
}

/** One request of one client. It counts against all limits if each has room, otherwise against none. */
export interface GuardQuestion {
  /** The name of the guard. Guards of the same name share their counts. */
  readonly name: string
  /** The key of the client. */
  readonly key: string
  /** The limits that the request takes from. */
  readonly limits: readonly GuardLimit[]
}

/** The count of one limit, including this request if it is allowed. */
export interface GuardCount {
  /** The requests in the current window. */
  readonly used: number
  /** Time in ms until the oldest counted request leaves the window. 0 if nothing is counted. */
  readonly resetMs: number
}

/** The store's answer to a request. */
export interface GuardAnswer {
  /** Whether the request may pass. */
  readonly allowed: boolean
  /** The count of each limit, in the order of the question. */
  readonly counts: readonly GuardCount[]
}

/** A store for the counts of a guard, shared by processes: `redisGuardStore` of `llmiter/redis`. */
export interface GuardStore {
  /** Rejects if the store cannot be reached. It may also never settle, because the guard has its own timeout. */
  take(question: GuardQuestion): Promise<GuardAnswer>
}
