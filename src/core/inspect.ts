// How an issuer looks from outside.

import type { Cost } from './cost.ts'
import type { Call } from './call.ts'
import type { TicketIssuer } from './ticket-issuer.ts'

/** Whether calls may go: `'open'`, `'closed'` after a refusal, `'probing'` while one call tries. */
export type GateState = 'open' | 'closed' | 'probing'

export function gateOf({ recovery }: TicketIssuer, now: number): { state: GateState; reopensInMs?: number } {
  const { gate } = recovery
  if (gate.state === 'open') return { state: 'open' }
  return 'until' in gate ? { state: 'closed', reopensInMs: recovery.remainingMs(now) } : { state: 'probing' }
}

/** Whether this call is the first in the queue. */
type GoesFirst = (call: Call<TicketIssuer>) => boolean

/** About how much longer a call in the queue would wait. */
export function waitLeft(call: Call<TicketIssuer>, now: number): number {
  return waitTime(call.issuer, call.cost, 0, now, (other) => {
    if (other === call) return false
    if (other.priority !== call.priority) return other.priority > call.priority
    return other.state === call.state ? other.seq < call.seq : other.state === 'parked'
  })
}

/** The call that goes last, here or below. */
const lastOf = ({ line, children }: TicketIssuer): Call<TicketIssuer> | undefined =>
  [line.least ?? line.first, ...children.map(lastOf)].sort((a, b) => b!.seq - a!.seq)[0]

/** About how long it takes until the last waiting call goes. */
export function lastWait(issuer: TicketIssuer, now: number): number {
  const last = lastOf(issuer)
  return waitTime(last?.issuer ?? issuer, last?.cost ?? {}, 0, now, (other) => other !== last)
}

/** About how long a call of this cost would wait if it came now, behind the calls that wait and `more` of its kind. */
export function waitTime(
  issuer: TicketIssuer,
  cost: Cost,
  more: number,
  now: number,
  goesFirst: GoesFirst = () => true,
): number {
  let from = now
  for (const at of issuer.chain) {
    if (at.limitSet.tooSmallFor(cost)) return Infinity
    from = Math.max(from, at.pausedUntil, now + (gateOf(at, now).reopensInMs ?? 0))
  }
  if (from === Infinity) return Infinity
  let at = from
  for (const { limitSet, line, children } of issuer.chain) {
    const ahead: Record<string, number> = {}
    for (const name in cost) ahead[name] = more * cost[name]!
    const calls = addUp({ line, children }, ahead, goesFirst)
    at = Math.max(at, limitSet.forecast(cost, ahead, Math.round(calls) + more, from, now))
  }
  return at - now
}

/** How many waiting calls are sampled; they stand for the others. */
const LOOKED_AT = 1000

/** Adds the cost of the waiting calls, here and below, that go first. Returns their number. */
function addUp(
  { line, children }: Pick<TicketIssuer, 'line' | 'children'>,
  sum: Record<string, number>,
  goesFirst: GoesFirst,
): number {
  const some = line.sample(LOOKED_AT)
  const each = line.size / some.length
  let calls = 0
  for (const call of some) {
    if (!goesFirst(call)) continue
    calls += each
    const cost = call.reckon()
    for (const name in cost) sum[name] = (sum[name] ?? 0) + cost[name]! * each
  }
  for (const child of children) calls += addUp(child, sum, goesFirst)
  return calls
}
