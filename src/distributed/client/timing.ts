// When a process asks, when it gives the store up, and when it leaves: in ms.

import { LAW } from '../protocol.ts'

/** Without an answer for so long the store is down, unless answers have taken half as long or longer lately. */
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
/** What cannot wait for the next beat is asked so long after the request before. */
export const URGENT_MS = 20
/** So long after its last call a process still counts, if it has worked for as long… */
export const STAY_MS = 60_000
/** …but at least so long. */
export const LEAST_STAY_MS = 3000
export const RETRY_MS = 500
/** So many slots are asked for at once: for more calls several go in one slot. */
export const MOST_SLOTS = 500
/** Spare slots are filled up so long after the request before. */
export const REFILL_MS = 250
/** Who asks when there is more to be had comes up to so much later, each time another time. */
export const LATE_MS = 20

export interface LeaseOptions {
  id: string
  onStoreDown: 'share' | 'wait' | 'reject'
  processes?: number | undefined
  random: () => number
  /** Of these processes, those that are gone for certain. */
  gone: (ids: readonly string[]) => string[]
}
