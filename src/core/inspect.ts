// An office as people see it.

import type { Cost } from './limit/limit-set.ts'
import type { Call } from './call.ts'
import type { Office } from './ticket-issuer.ts'

export type GateState = 'open' | 'closed' | 'probing'

export function gateOf(
  { recovery: { gate } }: Office,
  now: number,
): { state: GateState; reopensInMs?: number } {
  if (gate.state === 'open') return { state: 'open' }
  if (gate.state === 'probing' || gate.state === 'asking') return { state: 'probing' }
  return { state: 'closed', reopensInMs: Math.max(0, gate.until - now) }
}

function firstOf(office: Office): Call | undefined {
  const child = office.children.find(({ waiting }) => waiting > 0)
  return office.line.first ?? (child && firstOf(child))
}

/** What the first in line waits for: a dimension, `'concurrency'`, `'gate'` or `'pause'`. */
export function waitingOn(office: Office, now: number): string | undefined {
  const first = firstOf(office)
  if (!first) return undefined
  for (const at of office.chain) {
    if (at.pausedUntil > now) return 'pause'
    if (at.recovery.gate.state !== 'open') return 'gate'
    const on = at.budget.waitingOn(first.cost, now)
    if (on) return on
  }
  return undefined
}

/** How long a call of this cost would wait if it came now, as far as one can tell. */
export function waitTime(office: Office, cost: Cost, now: number): number {
  let wait = 0
  for (const at of office.chain) {
    if (at.budget.tooSmallFor(cost)) return Infinity
    const closed = gateOf(at, now).reopensInMs ?? 0
    wait = Math.max(wait, at.pausedUntil - now, closed, at.budget.waitTime(cost, at.waiting, now))
  }
  return wait
}
