// The list of waiting calls.

import type { Cost } from '../core/cost.ts'
import type { PendingCall } from '../call/pending-call.ts'
import type { LimiterRuntime } from './runtime.ts'

/** A waiting call. */
export interface QueuedCall {
  /** The `id` from its options, if given. */
  readonly id?: string
  /** The name of its limiter. */
  readonly limiter: string
  /** Higher goes first. */
  readonly priority: number
  /** Its tenant, if given. */
  readonly tenant?: string
  /** What it takes of each limit, if known. */
  readonly cost: Cost
  /** Whether it was sent before: refused, or waiting for a retry. */
  readonly parked: boolean
  /** Time since it was made, in ms. */
  readonly ageMs: number
}

/** The waiting calls, roughly in the order in which they will go. Tenant turns and ageing change the order. */
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
