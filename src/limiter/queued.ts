// The list of calls that wait.

import type { Cost } from '../core/cost.ts'
import type { PendingCall } from '../call/pending-call.ts'
import type { LimiterRuntime } from './runtime.ts'

/** A call that waits. */
export interface QueuedCall {
  /** The `id` of its options, if it was given one. */
  readonly id?: string
  /** The name of its limiter. */
  readonly limiter: string
  /** Higher goes first. */
  readonly priority: number
  /** Its tenant, if it has one. */
  readonly tenant?: string
  /** What it takes of each limit, if known. */
  readonly cost: Cost
  /** Whether it was sent before: refused, or failed and to be tried again. */
  readonly parked: boolean
  /** How long ago it came, in ms. */
  readonly ageMs: number
}

/** The calls that wait, roughly in the order in which they will go: turns of tenants and ageing change it. */
export const inOrder = (runtime: LimiterRuntime): PendingCall[] =>
  runtime.queued().sort((a, b) => b.priority - a.priority || sent(b) - sent(a) || a.seq - b.seq)

const sent = ({ state }: PendingCall) => (state === 'parked' ? 1 : 0)

export function queuedCall(call: PendingCall): QueuedCall {
  const { policy, priority, tenant, named, state, since } = call
  const { name, scheduler } = policy.runtime
  return {
    ...named,
    limiter: name,
    priority,
    ...(tenant !== undefined && { tenant }),
    cost: withoutPlaces(call.cost),
    parked: state === 'parked',
    ageMs: Math.max(0, scheduler.now() - since),
  }
}

const withoutPlaces = (cost: Cost): Cost =>
  Object.fromEntries(Object.entries(cost).filter(([of]) => !of.startsWith('#')))
