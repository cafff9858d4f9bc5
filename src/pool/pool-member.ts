// A call of a pool, on its way: what its caller said, where it may go, and what has come of it so far.

import type { Grant } from 'llmiter'
import type { Amounts, Reservation } from './budgets.ts'
import { LaneMember } from './lanes.ts'
import type { PoolCall } from './pool-call.ts'
import type { Tier } from './strategy.ts'

/** What a ticket is for. Most calls say nothing of it, and share one. */
export type Terms = Pick<PoolCall, 'cost' | 'request'>
const PLAIN: Terms = Object.freeze({})

/** What a call has come to. */
export type Ending = { readonly error: unknown } | { readonly value: unknown }

export type PoolWork = (target: never, signal: AbortSignal | undefined) => unknown

export function termsOf({ cost, request }: PoolCall): Terms {
  if (cost === undefined && request === undefined) return PLAIN
  return { ...(cost !== undefined && { cost }), ...(request !== undefined && { request }) }
}

const NOWHERE: readonly number[] = []

// Made for each call: what few of them need is made when they need it.
export class PoolMember extends LaneMember {
  readonly call: PoolCall
  readonly work: PoolWork
  readonly terms: Terms
  readonly tiers: readonly Tier[]
  readonly stickyKey: string | undefined
  /** In line, in all, but for the time since `queuedAt`. */
  waitedMs = 0
  queuedAt = 0
  /** So many tiers may answer it now, and these of their targets. */
  reach = 0
  allowed = NOWHERE
  attempts = 0
  /** Targets that failed it, and those that can never answer it. Those that refused are held by their gates. */
  visited: Set<number> | undefined = undefined
  excluded: Map<number, unknown> | undefined = undefined
  last: Ending | undefined = undefined
  /** The ticket in its hands, of which target, and the how-manyth call it is there. */
  grant: Grant | undefined = undefined
  index = -1
  number = 0
  /** What its caller gets, when it is not sent any more. */
  end: Ending | undefined = undefined
  wake: ((member: PoolMember) => void) | undefined = undefined
  /** What a try of it may use, and what is reserved for the present one. */
  bound: Amounts | undefined = undefined
  held: Reservation[] | undefined = undefined
  timers: (() => void)[] | undefined = undefined

  constructor(
    call: PoolCall,
    work: PoolWork,
    terms: Terms,
    tiers: readonly Tier[],
    stickyKey: string | undefined,
  ) {
    super(call.priority ?? 0, call.tenant)
    this.call = call
    this.work = work
    this.terms = terms
    this.tiers = tiers
    this.stickyKey = stickyKey
  }

  exclude(index: number, why: unknown): void {
    ;(this.excluded ??= new Map<number, unknown>()).set(index, why)
  }

  failedAt(index: number, last: Ending): void {
    ;(this.visited ??= new Set<number>()).add(index)
    this.last = last
  }

  hold(reservation: Reservation): void {
    ;(this.held ??= []).push(reservation)
  }

  takeGrant(): Grant {
    const { grant } = this
    this.grant = undefined
    return grant!
  }

  /** What is reserved, to be settled by whoever asks. */
  takeHeld(): readonly Reservation[] {
    const { held } = this
    this.held = undefined
    return held ?? []
  }
}
