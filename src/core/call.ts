// What the core knows about a call: what it takes, where it waits in the queue, and how far it has come.

import type { Cost } from './cost.ts'
import type { QueueMember, TenantQueue } from './queue/fair-queue.ts'

/** A call on its way through the issuer. The shell's own record of a call extends it. */
export class Call<Issuer = unknown> implements QueueMember<Call<Issuer>> {
  at = -1
  seq = 0
  queue: TenantQueue<Call<Issuer>> | undefined = undefined
  readonly issuer: Issuer
  cost: Cost
  state: 'new' | 'waiting' | 'parked' | 'in flight' | 'done' = 'new'
  /** When its ticket was issued; undefined (and so no boxed number in a million waiting calls) before. */
  sentAt: number | undefined = undefined

  constructor(issuer: Issuer, cost: Cost) {
    this.issuer = issuer
    this.cost = cost
  }

  /** The cost as known now that the call is first in the queue. It may be more exact than before. */
  reckon(): Cost {
    return this.cost
  }

  get priority(): number {
    return 0
  }

  get tenant(): string | undefined {
    return undefined
  }
}
