// A call of a pool: the options of its caller, where it may go, and its state so far.

import type { Grant } from 'llmiter'
import type { Amounts, Reservation } from './budgets.ts'
import { LaneMember } from './lanes.ts'
import type { PoolCall } from './pool-call.ts'
import type { TargetTier } from './strategy.ts'

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

/** What only those need that were not answered at once. */
interface Trouble {
  attempts: number
  /** Targets that failed it, and those that can never answer it. Those that refused are held by their gates. */
  readonly visited: Set<number>
  readonly excluded: Map<number, unknown>
  last: Ending | undefined
}

// Made for each call, and kept as long as it is under way: each field counts. Times are whole ms: so they are no boxed
// numbers.
export class PoolMember extends LaneMember {
  readonly call: PoolCall
  readonly work: PoolWork
  readonly terms: Terms
  readonly tiers: readonly TargetTier[]
  readonly stickyKey: string | undefined
  /** In line, in all, but for the time since `queuedAt`. */
  waitedMs = 0
  queuedAt = 0
  /** How many tiers may answer it now, and which of their targets. */
  reach = 0
  allowed = NOWHERE
  #trouble: Trouble | undefined = undefined
  /** The ticket in its hands, of which target, and the how-manyth call it is there. */
  grant: Grant | undefined = undefined
  index = -1
  number = 0
  /** The result for its caller, once it will not be sent any more. */
  end: Ending | undefined = undefined
  wake: ((member: PoolMember) => void) | undefined = undefined
  /** What one attempt may use at most, and what is reserved for the current one. */
  bound: Amounts | undefined = undefined
  held: Reservation[] | undefined = undefined
  timers: (() => void)[] | undefined = undefined

  constructor(
    call: PoolCall,
    work: PoolWork,
    terms: Terms,
    tiers: readonly TargetTier[],
    stickyKey: string | undefined,
  ) {
    super()
    this.call = call
    this.work = work
    this.terms = terms
    this.tiers = tiers
    this.stickyKey = stickyKey
  }

  override get priority(): number {
    return this.call.priority ?? 0
  }

  override get tenant(): string | undefined {
    return this.call.tenant
  }

  get trouble(): Trouble {
    return (this.#trouble ??= { attempts: 0, visited: new Set(), excluded: new Map(), last: undefined })
  }

  /** Whether a target has failed it, or can never answer it. */
  rulesOut(index: number): boolean {
    const { visited, excluded } = this.#trouble ?? {}
    return visited !== undefined && (visited.has(index) || excluded!.has(index))
  }

  hold(reservation: Reservation): void {
    ;(this.held ??= []).push(reservation)
  }

  takeGrant(): Grant {
    const { grant } = this
    this.grant = undefined
    return grant!
  }

  /** The reservation. The code that takes it must settle it. */
  takeHeld(): readonly Reservation[] {
    const { held } = this
    this.held = undefined
    return held ?? []
  }
}
