// The best that any client could do: calls in the order in which they come, each let in at the first moment at
// which it fits. It is played with the provider's own model, so it needs no formula and is exact also where limits
// change on the way; for a backlog it is the model's `optimumMs`.

import type { ModelProvider, ProviderCall } from 'llmiter/testing'
import { TimerHeap } from '../../testing/timer-heap.ts'
import type { Job } from './workloads.ts'

export interface Played {
  /** When the last answer is there. */
  endMs: number
  waitsMs: number[]
}

/** Undefined when a call can never get in. `provider` is used up by it. */
export function play(
  provider: ModelProvider,
  jobs: readonly Job[],
  cost: (job: Job) => ProviderCall,
): Played | undefined {
  const ends = new TimerHeap()
  const waitsMs: number[] = []
  let endMs = 0
  let at = 0
  for (let next = 0; next < jobs.length;) {
    const job = jobs[next]!
    at = Math.max(at, job.at)
    for (let end = ends.first(); end && end.at <= at; end = ends.first()) {
      ends.remove(end)
      end.fn()
    }
    const call = cost(job)
    const waitMs = provider.waitMs(at, call)
    if (waitMs > 0) {
      at = Math.min(at + waitMs, ends.first()?.at ?? Infinity)
      if (at === Infinity) return undefined
      continue
    }
    const answer = provider.ask(at, call)
    // Whoever refuses at random does not look at the time: the call may ask again at once.
    if (answer.kind !== 'admitted') continue
    const endsAt = at + job.serviceMs
    ends.add(endsAt, () => answer.finish(endsAt))
    endMs = Math.max(endMs, endsAt)
    waitsMs.push(at - job.at)
    next++
  }
  return { endMs, waitsMs }
}
