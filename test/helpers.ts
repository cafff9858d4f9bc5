// Shared by the tests of this folder: a limiter on a virtual clock, and providers' answers.

import { BucketRateLimiter, type LimiterOptions } from 'llmiter'
import { VirtualClock, type VirtualClockOptions } from 'llmiter/testing'

/** A virtual clock without chance: every random share of a wait has this value. */
export function steadyClock(
  random = 0,
  options: VirtualClockOptions = {},
): VirtualClock & { random(): number } {
  return Object.assign(new VirtualClock(options), { random: () => random })
}

/** A limiter on its own virtual clock, without the ramp, which tests of the ramp switch on. */
export function rig(options: Partial<LimiterOptions> = {}, clock = steadyClock()) {
  const limiter = new BucketRateLimiter({ name: 'test', ramp: false, limits: [], clock, ...options })
  return { clock, limiter }
}

/** A provider's answer with this status, as the SDKs throw it. */
export function refusal(status = 429, headers: Record<string, string> = {}, code?: string): Error {
  return Object.assign(new Error(`HTTP ${status}`), { status, headers, ...(code && { code }) })
}

export const rateLimited = (retryAfterMs?: number) =>
  refusal(429, retryAfterMs === undefined ? {} : { 'retry-after-ms': String(retryAfterMs) })
export const overloaded = (retryAfterMs?: number) =>
  refusal(503, retryAfterMs === undefined ? {} : { 'retry-after-ms': String(retryAfterMs) })
export const outOfQuota = () => refusal(429, {}, 'insufficient_quota')

/** Seconds with two digits, as in transcripts. */
export const seconds = (ms: number) => (ms / 1000).toFixed(2)

/** The state of a promise, without waiting for it: `'pending'`, `'ok: value'` or `'error: message'`. */
export function fate(promise: Promise<unknown>): { readonly now: string; readonly error: unknown } {
  const seen = { now: 'pending', error: undefined as unknown }
  promise.then(
    (value) => (seen.now = `ok: ${String(value)}`),
    (error: unknown) => {
      seen.error = error
      seen.now = `error: ${error instanceof Error ? error.message : String(error)}`
    },
  )
  return seen
}

/** The times in ms at which calls are sent, one per ticket. */
export function departures(limiter: BucketRateLimiter, clock: VirtualClock): number[] {
  const times: number[] = []
  limiter.on('issue', () => times.push(clock.now()))
  return times
}

/** Nothing is waiting, in flight, or timed. */
export function leftovers(limiter: BucketRateLimiter, clock: VirtualClock) {
  const { waiting, parked, inFlight } = limiter.stats()
  return { waiting, parked, inFlight, timers: clock.pendingTimers }
}
export const EMPTY = { waiting: 0, parked: 0, inFlight: 0, timers: 0 }

/** A promise that the test settles. */
export function deferred<T = unknown>() {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** Reads a stream to its end. */
export async function each<T>(
  stream: AsyncIterable<T>,
  look: (value: T) => unknown = () => {},
): Promise<void> {
  for await (const value of stream) await look(value)
}

/** All items of a stream. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

/** Reads one item of a stream, and leaves the stream. */
export async function leave<T>(stream: AsyncIterable<T>): Promise<T | undefined> {
  for await (const value of stream) return value
  return undefined
}
