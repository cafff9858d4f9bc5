/**
 * Computes how fast calls can be accepted at best, by simulating a client that knows the provider and sends each
 * call at the first possible moment.
 *
 * This client is the fastest possible if an earlier call never makes a later one slower. Each model documents why
 * that holds. A simulation needs no formula, so it is also exact if limits change on the way.
 */
import type { ModelProvider, ProviderCall } from './provider.ts'
import { TimerHeap } from './timer-heap.ts'

/** A call with an arrival time. Calls before it go first. */
export interface Arrival {
  at: number
  call: ProviderCall
}

/**
 * Yields the time at which each call is accepted. Ends at the first call that can never be accepted. Uses up
 * `provider`.
 */
export function* play(provider: ModelProvider, arrivals: Iterable<Arrival>): Generator<number, void> {
  const ends = new TimerHeap()
  let now = -Infinity
  for (const { at, call } of arrivals) {
    now = enter(provider, call, Math.max(now, at), ends)
    if (now === Infinity) return
    yield now
  }
}

function enter(provider: ModelProvider, call: ProviderCall, from: number, ends: TimerHeap): number {
  for (let now = from; now < Infinity;) {
    for (let end = ends.first(); end && end.at <= now; end = ends.first()) {
      ends.remove(end)
      end.fn()
    }
    const waitMs = provider.waitMs(now, call)
    if (waitMs > 0) {
      now = Math.min(now + waitMs, ends.first()?.at ?? Infinity)
      continue
    }
    const answer = provider.ask(now, call)
    // A provider that refuses at random does not depend on the time, so the call is sent again immediately.
    if (answer.kind !== 'admitted') continue
    const endsAt = now + (call.serviceMs ?? 0)
    ends.add(endsAt, () => answer.finish(endsAt))
    return now
  }
  return Infinity
}

/** The ms from `now` until the last of `calls` calls is accepted. Uses up `provider`. */
export function playBacklog(
  provider: ModelProvider,
  now: number,
  calls: number,
  call: ProviderCall | ((index: number) => ProviderCall),
): number {
  const callAt = typeof call === 'function' ? call : () => call
  const backlog = Array.from({ length: calls }, (_, index) => ({ at: now, call: callAt(index) }))
  const moments = [...play(provider, backlog)]
  return moments.length < calls ? Infinity : (moments.at(-1) ?? now) - now
}
