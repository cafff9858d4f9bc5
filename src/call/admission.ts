// Who may not even stand in line: a call that can never fit, one that has no hope, one too many.

import type { Desk } from '../limiter/runtime.ts'
import { QueueFullError, QuotaExhaustedError, RequestTooLargeError } from './errors.ts'
import { storeDown } from '../limiter/store-adapter.ts'
import type { Waiter } from './pending-call.ts'

/** Why a call is turned away, or undefined. May evict another to make room. */
export function turnAway(desk: Desk, waiter: Waiter, now: number): { error: unknown } | undefined {
  const { signal } = waiter.terms
  if (signal?.aborted) return { error: signal.reason }
  for (const at of desk.chain) {
    if (at.stopped) return { error: at.stopped }
    const limit = at.office.budget.tooSmallFor(waiter.cost)
    if (limit) {
      const { of, amount } = limit
      const message = `'${at.name}': a call of ${waiter.cost[of]} ${of} can never fit a limit of ${amount} ${of}`
      return { error: new RequestTooLargeError(message) }
    }
    const down = at.shared?.slots.refusal()
    if (down) return { error: storeDown(at.name, down.cause) }
    if (at.office.spent(now)) return { error: at.spent }
  }
  // Who was let in before is not turned away when the line is full.
  if (waiter.seq > 0) return undefined
  const crowded = crowdedOut(desk, waiter)
  if (crowded) return crowded
  for (const monitor of desk.monitors) {
    const error = monitor.refusal?.(now)
    if (error) return { error }
  }
  return undefined
}

function crowdedOut(desk: Desk, waiter: Waiter): { error: unknown } | undefined {
  const { max = Infinity, onFull } = desk.options.queue ?? {}
  const { line } = desk.office
  const { size } = line
  // With no room at all a call may still go that need not wait; the desk turns away those that must.
  if (size < max || max === 0) return undefined
  const error = new QueueFullError(`'${desk.name}': ${size} calls wait already, queue.max is ${max}`)
  // Who would not wait has no use for another's place.
  const least = onFull === 'evict-lowest' && waiter.terms.maxWaitMs > 0 ? line.least : undefined
  if (!least || least.priority >= waiter.priority) return { error }
  desk.giveUp(least as Waiter, error)
  return undefined
}

/** A call that need not wait has its ticket; any other leaves no trace. */
export function goNow(desk: Desk, waiter: Waiter, now: number): boolean {
  const { office, engine } = desk
  if (office.line.size > 0) return false
  const failure = turnAway(desk, waiter, now)
  // Only what can never go is an error: the rest may go another time.
  if (failure?.error instanceof RequestTooLargeError) throw failure.error
  if (failure) return false
  office.enqueue(waiter, now)
  engine.join(waiter, now)
  if (waiter.queue) office.cancel(waiter, now)
  if (waiter.state !== 'in flight') return false
  desk.tally.requests++
  return true
}

/** What calls are rejected with while the quota is used up. */
export function quotaSpent(name: string, waitMs: number | undefined, cause: unknown): QuotaExhaustedError {
  const until = waitMs === undefined ? 'one call a minute will try' : `it returns in ${Math.round(waitMs)} ms`
  return new QuotaExhaustedError(`'${name}': the provider's quota is used up: ${until}`, cause)
}
