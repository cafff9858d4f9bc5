// What the headers of an answer teach: the provider's limits, and what is left of them.

import { headersOf, readLimits } from '../responses/headers.ts'
import type { Waiter } from './pending-call.ts'

/** Tells the limits that an answer's headers name, if it has any, to those who keep them. */
export function learnFrom(answer: unknown, { terms: { desk }, sentAt }: Waiter): void {
  const headers = headersOf(answer)
  if (!headers) return
  const { engine, chain } = desk
  const now = engine.now()
  for (const hint of readLimits(headers, engine.clock.wall())) {
    desk.told.set(`${hint.of}/${hint.perMs}`, { ...hint, at: now })
    // What is said of a model must not be taken for the account's: the nearest limit of its kind is meant.
    const meant = chain.find(({ office }) => office.budget.knows(hint))
    if (!meant || meant.options.learn === false) continue
    meant.office.told(hint, meant.options.pacing === 'eager', sentAt!, now)
  }
  engine.pump(now)
}
