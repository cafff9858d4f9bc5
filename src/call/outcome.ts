// Decides what an answer means, what it used, and what its headers say about limits. Every answer goes through
// here, thrown or returned, from a call, a stream or a ticket.

import { isTokens } from '../core/limit/parse-limits.ts'
import { duration } from '../lib/duration.ts'
import { HOUR } from '../lib/units.ts'
import { text } from '../lib/validate.ts'
import { CallTimeoutError, LimiterError } from './errors.ts'
import { total } from './token-estimator.ts'
import { statusOf } from '../responses/error-text.ts'
import { classify } from '../responses/classify.ts'
import { headersOf, readLimits } from '../responses/headers.ts'
import { guard as safeRead } from '../responses/safe-access.ts'
import { type Billed, billedOf } from '../responses/billed.ts'
import { readUsage, type Usage } from '../responses/usage.ts'
import type { Outcome, Verdict } from '../responses/verdict.ts'
import { safeCall } from './safe-call.ts'
import type { CallContext, PendingCall } from './pending-call.ts'

const KINDS: readonly string[] = ['rate', 'overload', 'quota', 'oversize', 'transient']

/** Accepts anything that can be thrown. A revoked Proxy throws even when its type is read. */
const isA = (value: unknown, kind: new (...args: never[]) => Error): boolean =>
  safeRead(() => value instanceof kind) ?? false

/**
 * The verdict of the user's `classify`, or else of the built-in rules. Undefined: a success, or an error that
 * concerns only the caller.
 */
export function judge({ policy }: PendingCall, outcome: Outcome): Verdict | undefined {
  const own = policy.classify && safeCall(() => policy.classify!(outcome), policy.runtime, 'classify')
  if (own === 'ok') return undefined
  const kind = typeof own === 'object' ? own.kind : own
  if (kind && KINDS.includes(kind))
    return typeof own === 'object' ? own : { kind, reason: `classified as '${kind}'` }
  if (own !== undefined) {
    const message = `classify must return 'ok', ${KINDS.join(', ')} or a verdict of such a kind, got ${text(own)}`
    policy.runtime.failed(new TypeError(message), 'classify')
  }
  if ('error' in outcome) {
    const { error } = outcome
    if (isA(error, CallTimeoutError)) return { kind: 'transient', reason: (error as Error).message }
    // The error comes from a limiter inside this call, which already acted on the refusal in its cause.
    if (isA(error, LimiterError)) return undefined
  }
  return withinReason(classify(outcome, policy.runtime.scheduler.clock.wall()), policy.runtime)
}

/** Treats a wait longer than `maxRetryAfterMs` as a used-up quota. */
function withinReason(verdict: Verdict | undefined, { options }: CallContext): Verdict | undefined {
  const waits = verdict?.kind === 'rate' || verdict?.kind === 'overload'
  if (!waits || verdict.waitMs === undefined) return verdict
  const mostMs =
    options.maxRetryAfterMs === undefined ? HOUR : duration(options.maxRetryAfterMs, 'maxRetryAfterMs')
  return verdict.waitMs > mostMs ? { ...verdict, kind: 'quota' } : verdict
}

/** Warns once when tokens are limited but the function returned only text, so that only estimates are charged. */
function warnUnread({ policy: { runtime } }: PendingCall, value: unknown): undefined {
  if (typeof value !== 'string' || runtime.estimator.warned || !runtime.limits.some(({ of }) => isTokens(of)))
    return
  runtime.estimator.warned = true
  const message = `'${runtime.name}': the function returned only text, so its usage is unknown and estimates are charged`
  runtime.failed(new TypeError(`${message}. Return the SDK's whole answer, or set the option usage`), 'usage')
}

/** Ends an answered call. Its usage is read from the result. */
export function land(call: PendingCall, value: unknown): void {
  const { runtime, usage } = call.policy
  let used: Usage | undefined
  if (usage) used = safeCall(() => usage(value as never), runtime, 'usage')
  else if (runtime.metered) used = typeof value === 'object' ? readUsage(value) : warnUnread(call, value)
  tellUsage(call, () => billedOf(value, usage ? used : undefined))
  settle(call, used)
}

/** Emits `usage`. Reads the billed tokens only if there is a listener. */
export function tellUsage({ policy, named }: PendingCall, read: () => Billed | undefined): void {
  const { events } = policy.runtime
  const billed = events.heard.has('usage') ? read() : undefined
  if (!billed) return
  const { tenant } = policy
  events.emit('usage', { ...named, ...(tenant !== undefined && { tenant }), ...billed })
}

/** The checked parts of a usage that have a limit. */
function sound(usage: Usage, runtime: CallContext): Usage {
  const good: Usage = {}
  for (const [of, amount] of Object.entries(usage)) {
    if (typeof amount === 'number' && amount >= 0 && amount < Infinity) good[of] = amount
    else if (amount !== undefined) {
      runtime.failed(new TypeError(`usage.${of} must be at least 0 (a number), got ${text(amount)}`), 'usage')
    }
  }
  return good
}

/** An answer that reports input but no output had no output, as with embeddings. */
const whole = (usage: Usage): Usage =>
  usage.inputTokens === undefined ? usage : { outputTokens: 0, ...usage }

/** Ends an answered call with this usage. */
export function settle(call: PendingCall, usage: Usage | undefined): void {
  const { runtime } = call.policy
  const used = usage && total(whole(sound(usage, runtime)))
  if (used) runtime.estimator.learn(call.cost, used)
  runtime.finish(call, used)
}

/**
 * Ends a call whose error concerns only its caller. Without a status, it is unknown whether the provider received
 * the call.
 */
export function fail(call: PendingCall, error: unknown): void {
  const { runtime } = call.policy
  const failure = noteFailure(call, error)
  if (statusOf(error) === undefined) runtime.lose(call, failure)
  else runtime.finish(call, undefined, failure)
}

/**
 * Records that the call, or one attempt of it, failed. Returns the status and name of the failure, such as '401
 * AuthenticationError'.
 */
export function noteFailure({ policy: { runtime } }: PendingCall, error: unknown): string {
  const status = statusOf(error)
  const name = nameOf(error) ?? (status === undefined ? typeof error : '')
  const failure = [status, name].filter(Boolean).join(' ')
  runtime.lastFailure = failure
  return failure
}

/** Longer texts are not names. */
const MOST_NAME = 80

/** The class name of an error, never its message. */
const nameOf = (error: unknown): string | undefined =>
  safeRead(() => (error instanceof Error ? String(error.name).slice(0, MOST_NAME) : undefined))

/** Why the limiter rejected a call: the code of a limiter error, else the name of the abort reason. */
export const rejectionOf = (error: unknown): string =>
  isA(error, LimiterError) ? (error as LimiterError).code : (nameOf(error) ?? 'AbortError')

/** Ends a call that failed for good. The limiter still learns from a refusal. */
export function concede(call: PendingCall, error: unknown, verdict = judge(call, { error })): void {
  const { runtime } = call.policy
  if (verdict) call.more().verdict = verdict
  if (verdict && verdict.kind !== 'transient') runtime.refuse(call, verdict, error, false)
  else fail(call, error)
}

/** Passes the limits named in an answer's headers to the limiters that have such limits. */
export function learnFrom(answer: unknown, { policy: { runtime }, sentAt }: PendingCall): void {
  const headers = headersOf(answer)
  if (!headers) return
  const { scheduler, chain } = runtime
  const now = scheduler.now()
  for (const hint of readLimits(headers, scheduler.clock.wall())) {
    runtime.told.set(`${hint.of}/${hint.perMs}`, { ...hint, at: now })
    // A header about one model says nothing about the whole account, so it applies to the nearest limit of its
    // kind.
    const meant = chain.find(({ issuer }) => issuer.limitSet.knows(hint))
    if (!meant || meant.options.learn === false) continue
    meant.issuer.told(hint, meant.options.pacing === 'eager', sentAt!, now)
  }
  scheduler.pump(now)
}
