// What the limiter learns from the headers of an answer: the provider's limits, and what is left of them.

import { headersOf, readLimits } from '../responses/headers.ts'
import type { PendingCall } from './pending-call.ts'

/** Tells the limits that an answer's headers name, if it has any, to those who keep them. */
export function learnFrom(answer: unknown, { policy: { runtime }, sentAt }: PendingCall): void {
  const headers = headersOf(answer)
  if (!headers) return
  const { scheduler, chain } = runtime
  const now = scheduler.now()
  for (const hint of readLimits(headers, scheduler.clock.wall())) {
    runtime.told.set(`${hint.of}/${hint.perMs}`, { ...hint, at: now })
    // A header about one model says nothing about the whole account: it is applied to the nearest limit of its kind.
    const meant = chain.find(({ issuer }) => issuer.limitSet.knows(hint))
    if (!meant || meant.options.learn === false) continue
    meant.issuer.told(hint, meant.options.pacing === 'eager', sentAt!, now)
  }
  scheduler.pump(now)
}
