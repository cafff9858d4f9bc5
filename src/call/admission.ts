// Rejects calls before they queue: calls that can never fit, calls that would wait too long, and calls that exceed
// a full queue.

import { QueueFullError, QuotaExhaustedError, RequestTooLargeError, StoreDownError } from './errors.ts'
import { placesOf } from '../core/limit/limit-set.ts'
import { isTokens } from '../core/limit/parse-limits.ts'
import type { Refusal } from '../responses/verdict.ts'
import { type CallContext, PendingCall } from './pending-call.ts'

/** A call asks for a ticket. */
export function requested(runtime: CallContext, call: PendingCall): void {
  runtime.counters.requests++
  if (runtime.events.heard.has('request'))
    runtime.events.emit('request', { ...call.named, waiting: runtime.waiting })
}

/** The error a call is rejected with, or undefined if it may queue. May evict another call to make room. */
export function turnAway(
  runtime: CallContext,
  call: PendingCall,
  now: number,
): { error: unknown } | undefined {
  const { signal } = call.policy
  if (signal?.aborted) return { error: signal.reason }
  for (const at of runtime.chain) {
    if (at.stopped) return { error: at.stopped }
    const tooLarge = neverFits(at, call)
    if (tooLarge) return { error: tooLarge }
    const down = at.storeFailure()
    if (down) return { error: storeDown(at.name, down.cause) }
    if (at.issuer.spent(now)) return { error: at.spent }
  }
  // A call that was admitted before is not rejected when the queue is full.
  if (call.seq > 0) return undefined
  const crowded = crowdedOut(runtime, call)
  if (crowded) return crowded
  for (const monitor of runtime.monitors) {
    const error = monitor.refusal?.(now)
    if (error) return { error }
  }
  return undefined
}

/** The error for a cost above a limit. It names the limit and suggests what to change. */
function neverFits({ name, issuer }: CallContext, { cost }: PendingCall): RequestTooLargeError | undefined {
  const { maxConcurrent } = issuer.limitSet
  if (placesOf(cost) > maxConcurrent)
    return new RequestTooLargeError(
      `'${name}': a call of weight ${placesOf(cost)} can never run, because maxConcurrent is ${maxConcurrent}: lower its weight, or raise maxConcurrent`,
    )
  const limit = issuer.limitSet.tooSmallFor(cost)
  if (!limit) return undefined
  const { of, amount, windowMs, timeZone } = limit
  const window = timeZone ? 'a day' : `${Number((windowMs / 1000).toPrecision(6))} s`
  const smaller = isTokens(of) ? 'shorten the prompt or lower max_tokens' : 'split the call'
  return new RequestTooLargeError(
    `'${name}': a call of ${cost[of]} ${of} can never fit a limit of ${amount} ${of} in ${window}: ${smaller}, or raise the limit if the provider allows more`,
  )
}

function crowdedOut(runtime: CallContext, call: PendingCall): { error: unknown } | undefined {
  const { max = Infinity, onFull } = runtime.options.queue ?? {}
  const { line } = runtime.issuer
  const { size } = line
  // With `queue.max: 0` a call may still go if it does not have to wait. The runtime rejects the others.
  if (size < max || max === 0) return undefined
  const error = new QueueFullError(
    `'${runtime.name}': ${size} calls are waiting already, and queue.max is ${max}`,
  )
  // A call that would not wait anyway must not evict another.
  const evicted = call.policy.maxWaitMs > 0 ? evictedFor(call, line, onFull) : undefined
  if (!evicted) return { error }
  runtime.giveUp(evicted as PendingCall, error)
  return undefined
}

/** The call that a full queue evicts to make room for this one. It never has a higher priority than this one. */
function evictedFor(
  { priority }: PendingCall,
  line: CallContext['issuer']['line'],
  onFull: 'reject' | 'evict-lowest' | 'evict-oldest' = 'reject',
) {
  if (onFull === 'reject') return undefined
  const found = onFull === 'evict-lowest' ? line.least : line.oldest
  const worth = found && priority - found.priority
  return worth !== undefined && (onFull === 'evict-lowest' ? worth > 0 : worth >= 0) ? found : undefined
}

/** A call that asks for a ticket when it gets one: only then is it known whether it, or which call, takes it. */
export class LateCall extends PendingCall {
  override issued(now: number): number {
    if (this.waitState?.parkedAt === undefined) requested(this.policy.runtime, this)
    return super.issued(now)
  }
}

/** Gives the call its ticket if it does not have to wait. Otherwise changes nothing. */
export function goNow(runtime: CallContext, call: LateCall, now: number): boolean {
  const { issuer, scheduler } = runtime
  if (issuer.line.size > 0) return false
  const failure = turnAway(runtime, call, now)
  // Only a call that can never go is an error. Other calls may go later.
  if (failure?.error instanceof RequestTooLargeError) throw failure.error
  if (failure) return false
  scheduler.join(call, now)
  if (call.standing.is === 'waiting') {
    issuer.cancel(call, now)
    return false
  }
  return true
}

/** The error for calls while the quota is used up. */
export function quotaSpent(
  name: string,
  { waitMs, reason }: Pick<Refusal, 'waitMs' | 'reason'>,
  cause: unknown,
): QuotaExhaustedError {
  const until = waitMs === undefined ? 'one call a minute tests it' : `it returns in ${Math.round(waitMs)} ms`
  const said = reason ? ` (${reason})` : ''
  return new QuotaExhaustedError(`'${name}': the provider's quota is used up${said}: ${until}`, cause)
}

/** The error for calls while the store does not answer. */
export function storeDown(name: string, cause: unknown): StoreDownError {
  return new StoreDownError(`'${name}': the store of the shared limit does not answer`, cause)
}
