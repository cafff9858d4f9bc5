// A call of a pool: its caller's options, the targets it may go to, and its state.

import type { Grant } from 'llmiter'
import type { Amounts, Reservation } from './budgets.ts'
import { LaneMember } from './lanes.ts'
import type { PoolCall } from './pool-call.ts'
import type { TargetTier } from './strategy.ts'

/** What determines the ticket. Most calls give none of these fields and share one object. */
export type Terms = Pick<PoolCall, 'cost' | 'request'>
const PLAIN: Terms = Object.freeze({})

/** The result of a call. */
export type Ending = { readonly error: unknown } | { readonly value: unknown }

export type PoolWork = (target: never, signal: AbortSignal | undefined) => unknown

export function termsOf({ cost, request }: PoolCall): Terms {
  if (cost === undefined && request === undefined) return PLAIN
  return { ...(cost !== undefined && { cost }), ...(request !== undefined && { request }) }
}

const NOWHERE: readonly number[] = []

/** State that only calls need that were not answered at once. */
interface Trouble {
  attempts: number
  /**
   * Targets that failed this call, and targets that can never answer it. Targets that refused are held by their
   * gates.
   */
  readonly visited: Set<number>
  readonly excluded: Map<number, unknown>
  last: Ending | undefined
}

// One is created per call and kept until the call ends, so each field matters. Times are whole ms, so that V8 does
// not box the numbers.
export class PoolMember extends LaneMember {
  readonly call: PoolCall
  readonly work: PoolWork
  readonly terms: Terms
  readonly tiers: readonly TargetTier[]
  readonly stickyKey: string | undefined
  /** The total time in the queue, without the time since `queuedAt`. */
  waitedMs = 0
  queuedAt = 0
  /** When it began to wait for its next ticket. */
  since = 0
  /** How many tiers may answer it now, and which of their targets. */
  reach = 0
  allowed = NOWHERE
  #trouble: Trouble | undefined = undefined
  /** The ticket it holds, the target of the ticket, and the number of the call at that target. */
  grant: Grant | undefined = undefined
  index = -1
  number = 0
  /** The result for its caller, once it will not be sent again. */
  end: Ending | undefined = undefined
  wake: ((member: PoolMember) => void) | undefined = undefined
  /** The maximum usage of one attempt, and the reservation for the current one. */
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

  /** Whether a target has failed this call, or can never answer it. */
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

  /** Removes and returns the reservations. The caller must settle them. */
  takeHeld(): readonly Reservation[] {
    const { held } = this
    this.held = undefined
    return held ?? []
  }
}
