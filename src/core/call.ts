// What the core knows of a call: what it takes, where it stands in line, and how far it has come.

import type { Cost } from './limit/limit-set.ts'
import type { Member, Queue } from './queue/fair-queue.ts'
import type { Office } from './ticket-issuer.ts'

/** A call on its way through the office. The shell's own record of a call extends it. */
export class Call implements Member<Call> {
  at = -1
  seq = 0
  queue: Queue<Call> | undefined = undefined
  readonly office: Office
  cost: Cost
  state: 'new' | 'waiting' | 'parked' | 'in flight' | 'done' = 'new'
  /** When its ticket was issued; undefined (and so no boxed number in a million waiting calls) before. */
  sentAt: number | undefined = undefined

  constructor(office: Office, cost: Cost) {
    this.office = office
    this.cost = cost
  }

  /** What it takes, now that it is first in line: that may be known better by now. */
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
