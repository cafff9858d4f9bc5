/**
 * Decides how fast calls can get in at best: by playing it, with a client that knows the provider and asks each
 * call at the first moment it gets in.
 *
 * That client is the fastest there is wherever an earlier call never makes a later one slower, and each model
 * says of itself why that holds. Playing needs no formula, so it is exact also where limits change on the way.
 */
import type { ModelProvider, ProviderCall } from './provider.ts'
import { TimerHeap } from './timer-heap.ts'

/** A call that comes at a moment of its own; those before it go first. */
export interface Arrival {
  at: number
  call: ProviderCall
}

/** The moment at which each call is in; it ends at the first that never can. `provider` is used up by it. */
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
    // Whoever refuses at random does not look at the time: the call may ask again at once.
    if (answer.kind !== 'admitted') continue
    const endsAt = now + (call.serviceMs ?? 0)
    ends.add(endsAt, () => answer.finish(endsAt))
    return now
  }
  return Infinity
}

/** The ms from `now` until the last of `calls` calls is in; `provider` is used up by it. */
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
