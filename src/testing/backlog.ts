/**
 * Decides how fast a backlog can be: by playing it, with a client that knows the provider and asks each call at
 * the first moment it gets in.
 *
 * That client is the fastest there is wherever an earlier call never makes a later one slower, and each model
 * says of itself why that holds. Playing needs no formula, so it is exact also where limits change on the way.
 */
import type { ModelProvider, ProviderCall } from './provider.ts'
import { TimerHeap } from './timer-heap.ts'

/** The ms from `now` until the last of `calls` calls is in; `provider` is used up by it. */
export function playBacklog(
  provider: ModelProvider,
  now: number,
  calls: number,
  call: ProviderCall | ((index: number) => ProviderCall),
): number {
  const callAt = typeof call === 'function' ? call : () => call
  const ends = new TimerHeap()
  let at = now
  for (let index = 0; index < calls;) {
    const next = callAt(index)
    for (let end = ends.first(); end && end.at <= at; end = ends.first()) {
      ends.remove(end)
      end.fn()
    }
    const waitMs = provider.waitMs(at, next)
    if (waitMs > 0) {
      at = Math.min(at + waitMs, ends.first()?.at ?? Infinity)
      if (at === Infinity) return Infinity
      continue
    }
    const answer = provider.ask(at, next)
    // Whoever refuses at random does not look at the time: the client may ask again at once.
    if (answer.kind !== 'admitted') continue
    const endsAt = at + (next.serviceMs ?? 0)
    ends.add(endsAt, () => answer.finish(endsAt))
    index++
  }
  return at - now
}
