// When a process asks the store, when it gives up on it, and when it leaves: in ms.

import { LAW } from '../protocol.ts'

/** The store is down after this long without an answer, unless recent answers took half as long or longer. */
export const TIMEOUT_MS = 1000
/** A store that answers within this time is slow. One that takes longer is down. */
export const SLOWEST_MS = 2500
/** How long a slow answer is remembered. */
export const SLOW_MEMORY_MS = 60_000
/** By then the store, if it lives, keeps this process's share for it. */
export const SILENCE_MS = LAW.missingMs + 500
/** For so long at most after the store has heard from it a process may spend its share. The store keeps it longer. */
export const TERM_MS = LAW.keptMs - SILENCE_MS
export const BEAT_MS = 500
export const IDLE_BEAT_MS = 1000
/** How long after the previous request an urgent one may go. */
export const URGENT_MS = 20
/** How long a process still counts after its last call, if it worked for as long… */
export const STAY_MS = 60_000
/** …but at least this long. */
export const LEAST_STAY_MS = 3000
export const RETRY_MS = 500
/** The most slots in one request. For more calls, several go in one slot. */
export const MOST_SLOTS = 500
/** How long after the previous request spare slots are filled up. */
export const REFILL_MS = 250
/** A random delay of up to this much is added when a process asks at the time when more is available. */
export const LATE_MS = 20

export interface LeaseOptions {
  id: string
  onStoreDown: 'share' | 'wait' | 'reject'
  processes?: number | undefined
  random: () => number
  /** Returns which of these processes are certainly gone. */
  gone: (ids: readonly string[]) => string[]
}
