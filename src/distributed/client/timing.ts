// The timing of a process at its store, in ms: when it asks, when it gives up, and when it leaves.

import { LAW } from '../protocol.ts'

/** The store is down after this long without an answer, unless recent answers took half as long or longer. */
export const TIMEOUT_MS = 1000
/** A store that answers within this time is slow. One that takes longer is down. */
export const SLOWEST_MS = 2500
/** How long a slow answer is remembered. */
export const SLOW_MEMORY_MS = 60_000
/** The silence after which a live store reserves this process's share. */
export const SILENCE_MS = LAW.missingMs + 500
/** How long a process may use its share after the store last heard from it. The store reserves the share longer. */
export const TERM_MS = LAW.keptMs - SILENCE_MS
export const BEAT_MS = 500
export const IDLE_BEAT_MS = 1000
/** How long after the previous request an urgent one may go. */
export const URGENT_MS = 20
/**
 * How long a process still counts after its last call, if it worked for as long. It counts for at least
 * `LEAST_STAY_MS`.
 */
export const STAY_MS = 60_000
/** The minimum time that a process still counts after its last call. */
export const LEAST_STAY_MS = 3000
export const RETRY_MS = 500
/** The maximum number of slots in one request. For more calls, several share one slot. */
export const MOST_SLOTS = 500
/** How long after the previous request spare slots are replenished. */
export const REFILL_MS = 250
/** A random delay of up to this much is added when a process asks at the time when more becomes available. */
export const LATE_MS = 20

export interface LeaseOptions {
  id: string
  onStoreDown: 'share' | 'wait' | 'reject'
  processes?: number | undefined
  random: () => number
  /** Returns which of these processes are certainly gone. */
  gone: (ids: readonly string[]) => string[]
}
