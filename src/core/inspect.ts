// An issuer as people see it.

import type { Cost } from './cost.ts'
import type { Call } from './call.ts'
import type { TicketIssuer } from './ticket-issuer.ts'

export type GateState = 'open' | 'closed' | 'probing'

export function gateOf({ recovery }: TicketIssuer, now: number): { state: GateState; reopensInMs?: number } {
  const { gate } = recovery
  if (gate.state === 'open') return { state: 'open' }
  if (gate.state === 'probing' || gate.state === 'asking') return { state: 'probing' }
  return { state: 'closed', reopensInMs: recovery.remainingMs(now) }
}

function firstOf(issuer: TicketIssuer): Call<TicketIssuer> | undefined {
  const child = issuer.children.find(({ waiting }) => waiting > 0)
  return issuer.line.first ?? (child && firstOf(child))
}

/** What the first in line waits for: a dimension, `'concurrency'`, `'gate'` or `'pause'`. */
export function waitingOn(issuer: TicketIssuer, now: number): string | undefined {
  const first = firstOf(issuer)
  if (!first) return undefined
  for (const at of issuer.chain) {
    if (at.pausedUntil > now) return 'pause'
    if (at.recovery.gate.state !== 'open') return 'gate'
    const on = at.limitSet.waitingOn(first.cost, now)
    if (on) return on
  }
  return undefined
}

/** How long a call of this cost would wait if it came now, as far as one can tell. */
export function waitTime(issuer: TicketIssuer, cost: Cost, now: number): number {
  let wait = 0
  for (const at of issuer.chain) {
    if (at.limitSet.tooSmallFor(cost)) return Infinity
    const closed = gateOf(at, now).reopensInMs ?? 0
    wait = Math.max(wait, at.pausedUntil - now, closed, at.limitSet.waitTime(cost, at.waiting, now))
  }
  return wait
}
