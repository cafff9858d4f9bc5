// BucketRateLimiter, the public class. Its methods are thin wrappers around the runtime. The algorithm is in
// `core/`.

import { QueueClearedError } from '../call/errors.ts'
import { goNow, LateCall } from '../call/admission.ts'
import { dispatch, newCall } from '../call/execute.ts'
import { type Clock, systemClock } from '../scheduler/clock.ts'
import { contextOf } from '../lib/async-context.ts'
import { didYouMean } from '../lib/suggest.ts'
import { DIMENSION_SYNONYMS } from '../lib/synonyms.ts'
import { callable, choice, given, number, text } from '../lib/validate.ts'
import type { Cost } from '../core/cost.ts'
import { PLACES } from '../core/limit/limit-set.ts'
import { parseLimits } from '../core/limit/parse-limits.ts'
import { type Duration, duration } from '../lib/duration.ts'
import { lastWait, waitTime } from '../core/inspect.ts'
import { LimiterRuntime } from './runtime.ts'
import { ONE, total } from '../call/token-estimator.ts'
import { type EventName, EVENT_SYNONYMS, EVENTS, type LimiterEvent } from './events.ts'
import { type CallOptions, checkCall, checkCost } from '../call/call-options.ts'
import { checkLimiter, checkLimiterKeys, type LimiterOptions } from './options.ts'
import { restore, type Snapshot, snapshot } from './snapshot.ts'
import type { FrontQueues } from './front-queues.ts'
import type { LimiterStats, Mark } from './limiter-stats.ts'
import { limitsOf, mark, stats } from './stats.ts'
import { inOrder, type QueuedCall, queuedCall } from './queued.ts'
import { Ticket } from './ticket.ts'
import type { CallPolicy } from '../call/pending-call.ts'
import { type InheritedGrant, standBy, type StandbyWaiter, takeOver } from '../call/standby.ts'

/** How many tenants, and priorities of each, have cached call policies. */
const MOST_LANES = 1000

let unnamed = 0

/** Limiters without a name are numbered, so that their errors and logs differ. */
function nextName(): string {
  unnamed++
  return unnamed === 1 ? 'default' : `default-${unnamed}`
}

/**
 * The key under which parts of the package find the runtime of a limiter, even one from another copy of the
 * package.
 */
export const RUNTIME = Symbol.for('llmiter.desk')

/**
 * Issues tickets so that calls are sent at the pace the provider accepts.
 *
 * Most users want `withLimiter(fn, limiter)`. `run` does the same for one call, and `acquire` is for code that
 * does not fit into one function.
 *
 * @example
 * const gpt = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 500, tokensPerMinute: 200_000 })
 * const answer = await gpt.run((signal) => openai.responses.create({ model: 'gpt-5', input }, { signal }))
 *
 * @throws TypeError when an option is unknown or out of range. The error names the option, its value and what is
 * allowed.
 */
export class BucketRateLimiter {
  /** The name of the limiter in errors, events and logs. */
  readonly name: string
  /** @internal */
  readonly [RUNTIME]: LimiterRuntime
  readonly #policy: CallPolicy
  /** The policy of standby calls. */
  #standbyPolicy: CallPolicy | undefined
  /** The policies of calls that set only a tenant and a priority, as most calls with options do. */
  readonly #lanes = new Map<string | undefined, Map<number, CallPolicy>>()

  constructor(options: LimiterOptions) {
    checkLimiter(options)
    const { parent, clock } = options
    if (parent && clock) throw new TypeError('clock belongs to the parent: give it there')
    const above = parent && runtimeOf(parent, 'parent')
    this.name = options.name ?? nextName()
    this[RUNTIME] = new LimiterRuntime(this.name, options, parseLimits(options), above, clock ?? systemClock)
    this.#policy = policyOf(this[RUNTIME])
  }

  /**
   * Runs `fn` with a ticket and resolves with its result. After a refusal, the call waits at the front of the
   * queue and runs again. Any other error is thrown unchanged. `fn` gets a signal that aborts with the call's
   * `signal` or after its `timeoutMs`, or undefined if the call has neither.
   */
  run<T>(fn: (signal: AbortSignal | undefined) => T, call?: CallOptions): Promise<Awaited<T>> {
    try {
      if (typeof fn !== 'function') callable(fn, 'fn', call)
      const policy = this.#termsFor(call)
      return dispatch(policy, this.#cost(call), fn) as Promise<Awaited<T>>
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Resolves with a ticket. End it with `finish`, `refuse` or `release`, or let `using` do so. */
  acquire(call?: CallOptions): Promise<Ticket> {
    try {
      const pending = newCall(this.#termsFor(call), this.#cost(call), undefined)
      return (
        pending.standing.is === 'waiting' ? this[RUNTIME].scheduler.ticket(pending) : Promise.resolve(pending)
      ).then(Ticket.of)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Returns a ticket if one is free now and no other call is waiting for it. Otherwise returns undefined.
   *
   * @throws RequestTooLargeError when the call can never get one.
   */
  tryAcquire(call?: Omit<CallOptions, 'maxWaitMs'>): Ticket | undefined {
    const runtime = this[RUNTIME]
    const now = runtime.scheduler.now()
    const pending = new LateCall(this.#termsFor(call), this.#cost(call), undefined, now)
    return goNow(runtime, pending, now) ? Ticket.of(pending) : undefined
  }

  /**
   * Like `tryAcquire`, but waits in the queue. For your own queue in front of several limiters, such as a pool.
   * `granted` is called as soon as there is a ticket, possibly before this returns. `failed` is called if there
   * can be none. Returns a function that leaves the queue without affecting the statistics.
   */
  standBy(call: Pick<CallOptions, 'cost' | 'request'>, waiter: StandbyWaiter): () => void {
    checkCall(call)
    const policy = (this.#standbyPolicy ??= this.#standbyPolicyOf({}))
    return standBy(policy, this.#standbyPolicyOf, this.#cost(call), waiter)
  }

  /**
   * Takes over the ticket of the enclosing call, for your own queue. The call made with it is the same call to the
   * provider, and would otherwise wait for a ticket that the enclosing call holds. With `pays`, only a ticket that
   * covers this limiter. Without it, any ticket that could block a call of this limiter, in order to release it.
   *
   * @internal
   */
  takeOver(
    call: Pick<CallOptions, 'cost' | 'request' | 'signal'>,
    pays: boolean,
  ): InheritedGrant | undefined {
    const around = contextOf(call.signal)
    if (around === undefined) return undefined
    const policy = (this.#standbyPolicy ??= this.#standbyPolicyOf({}))
    return takeOver(policy, this.#standbyPolicyOf, this.#cost(call), around, pays)
  }

  /**
   * The queues in front of this limiter. Their calls count among those that wait for it.
   *
   * @internal
   */
  get frontQueues(): FrontQueues {
    return this[RUNTIME].frontQueues
  }

  readonly #standbyPolicyOf = (terms: Pick<CallOptions, 'signal' | 'timeoutMs'>): CallPolicy =>
    policyOf(this[RUNTIME], { maxRefusals: 0, retry: false, ...terms })

  /**
   * An estimate of how long a call made now would wait, in ms. 0 if it would not wait. `Infinity` if it could
   * never go, or while the limiter is paused without an end. The estimate includes all calls ahead, by what they
   * take of each limit; the limits of the parents; a closed gate; quotas, by when they reset; and `maxConcurrent`,
   * by the mean duration of calls.
   *
   * It is a lower bound. The duration of calls is unknown until the first one has finished, the gate may close
   * again, calls of higher priority go first, and other processes may use a shared limit.
   *
   * @param cost What the call takes of each limit. Default: one request, plus estimated tokens. With
   * `{ requests: 0 }`, the wait of the last call in the queue.
   * @param ahead How many more calls of this cost come before it, such as the rest of a job.
   */
  waitTime(cost?: CallOptions['cost'], ahead = 0): number {
    const { issuer, scheduler } = this[RUNTIME]
    if (cost) checkCost(cost)
    number(ahead, 'ahead', 'a whole number of at least 0')
    const now = scheduler.now()
    if (cost?.requests === 0 && !Object.values(cost).some(Boolean)) return lastWait(issuer, now)
    return waitTime(issuer, this.#cost({ cost: cost ?? {} }), ahead, now)
  }

  /**
   * Changes options from now on, also for waiting calls. `undefined` removes an option. Counts and calls in flight
   * are kept.
   */
  update(options: Partial<Omit<LimiterOptions, 'name' | 'parent' | 'clock' | 'health' | 'store'>>): void {
    const runtime = this[RUNTIME]
    checkLimiterKeys(options, 'update')
    const { name, parent, clock, health, store } = runtime.options
    const fixed = { name, parent, clock, health, store }
    for (const key in fixed) {
      if (options[key as keyof typeof options] !== undefined)
        throw new TypeError(`${key} cannot be changed by update()`)
    }
    const next = { ...runtime.options, ...options, ...fixed }
    checkLimiter(next)
    runtime.update(next, parseLimits(next))
    Object.assign(this.#policy, policyOf(runtime))
    this.#standbyPolicy = undefined
    this.#lanes.clear()
  }

  /** Issues no tickets for this long, or until `resume()`. */
  pause(ms?: Duration): void {
    const { issuer, scheduler } = this[RUNTIME]
    const now = scheduler.now()
    issuer.pause(ms === undefined ? Infinity : now + duration(ms, 'ms'))
    scheduler.pump(now)
  }

  /** Ends `pause()`. After a used-up quota, the next call immediately tries whether the quota is back. */
  resume(): void {
    const { issuer, scheduler } = this[RUNTIME]
    issuer.pause(-Infinity)
    issuer.recovery.resume(scheduler.now())
    scheduler.pump(scheduler.now())
  }

  /** Resolves when no call is waiting or in flight. */
  drain(): Promise<void> {
    return this[RUNTIME].drained()
  }

  /**
   * The waiting calls of this limiter and those below it, roughly in the order in which they will go: a copy. Of the
   * queue of a pool it shows only the first call.
   */
  queued(): QueuedCall[] {
    return inOrder(this[RUNTIME]).map(queuedCall)
  }

  /**
   * Rejects all waiting calls, including those that wait for a retry, with `QueueClearedError`. Its `cause` is the
   * reason. Calls in flight and later calls are not affected.
   *
   * @param which Clears only calls for which it returns true. Default: all calls.
   */
  clear(reason?: unknown, which?: (call: QueuedCall) => boolean): void {
    given(which, (value) => callable(value, 'which'))
    const calls = inOrder(this[RUNTIME])
    const dropped = which ? 'this call while it' : 'all calls that'
    const error = new QueueClearedError(`'${this.name}': clear() dropped ${dropped} waited`, reason)
    this[RUNTIME].clear(which ? calls.filter((call) => which(queuedCall(call))) : calls, error)
  }

  /**
   * Adds to the available amount of a limit with a `refill`. A negative amount subtracts. Calls that wait for it
   * go immediately.
   *
   * @param of The dimension. Default `'requests'`.
   * @throws TypeError when no limit of this dimension has a `refill`.
   */
  refill(amount: number, of = 'requests'): void {
    const { issuer, scheduler } = this[RUNTIME]
    const now = scheduler.now()
    if (!issuer.refill(of, number(amount, 'amount', 'a finite number'), now))
      throw new TypeError(`'${this.name}' has no limit of ${text(of)} with a refill`)
    scheduler.pump(now)
  }

  /**
   * How much of a dimension a call could take now without waiting: the minimum over its limits, or `Infinity` if
   * nothing limits it. Negative after `refill` subtracted more than was available.
   *
   * @param of The dimension. Default `'requests'`.
   */
  available(of = 'requests'): number {
    const limits = this.limits().filter((limit) => limit.of === of)
    return Math.min(Infinity, ...limits.map(({ available }) => available))
  }

  /**
   * Rejects all waiting calls, and every later call, with `LimiterStoppedError`. Its `cause` is the reason. Calls
   * in flight finish.
   */
  stop(reason?: unknown): void {
    this[RUNTIME].stop(reason)
  }

  /** The statistics of the limiter: a copy that is cheap to create. With a mark, counts start at the mark. */
  stats(since?: Mark): LimiterStats {
    return stats(this[RUNTIME], since)
  }

  /**
   * The `limits` of `stats()`.
   *
   * @internal
   */
  limits(): LimiterStats['limits'] {
    const runtime = this[RUNTIME]
    return limitsOf(runtime, runtime.scheduler.now())
  }

  /** Marks the current moment, for `stats(mark)`. */
  mark(): Mark {
    return mark(this[RUNTIME])
  }

  /** The clock of the limiter. */
  get clock(): Clock {
    return this[RUNTIME].scheduler.clock
  }

  /**
   * Emits `error`, for code around a limiter that must not throw into its calls. Returns whether there was a
   * listener.
   */
  report(error: unknown, where: string): boolean {
    this[RUNTIME].failed(error, where)
    return this[RUNTIME].events.heard.has('error')
  }

  /** What the limiter has counted and learned, as plain JSON. A later process can `restore` it. */
  snapshot(): Snapshot {
    return snapshot(this[RUNTIME])
  }

  /**
   * Restores a snapshot of a limiter with the same name, of any age. Limits missing from the snapshot, and limits
   * that no longer exist, are ignored.
   */
  restore(saved: Snapshot): void {
    restore(this[RUNTIME], saved)
  }

  /** Listens to an event. Returns a function that removes the listener. */
  on<E extends EventName>(event: E, listener: (event: LimiterEvent<E>) => void): () => void {
    choice(event, 'event', EVENTS, EVENT_SYNONYMS)
    callable(listener, 'listener')
    return this[RUNTIME].events.on(event, listener)
  }

  #termsFor(call: CallOptions | undefined): CallPolicy {
    if (!call) return this.#policy
    checkCall(call)
    const { priority = 0, tenant, id, signal, maxWaitMs, maxRefusals, timeoutMs, retry } = call
    const runtime = this[RUNTIME]
    if ((id ?? signal ?? maxWaitMs ?? maxRefusals ?? timeoutMs ?? retry) !== undefined)
      return policyOf(runtime, call)
    if (priority === 0 && tenant === undefined) return this.#policy
    const known = this.#lanes.get(tenant)?.get(priority)
    if (known) return known
    const policy = policyOf(runtime, call)
    if (this.#lanes.size > MOST_LANES) this.#lanes.clear()
    const lane = this.#lanes.get(tenant)
    if (lane && lane.size < MOST_LANES) lane.set(priority, policy)
    else this.#lanes.set(tenant, new Map([[priority, policy]]))
    return policy
  }

  #cost(call: CallOptions | undefined): Cost {
    const args = call?.request === undefined ? undefined : [call.request]
    return costOf(this[RUNTIME], call?.cost, args, call?.weight)
  }
}

/** The cost of a call: the cost that its caller gave, plus an estimate of the tokens that are missing from it. */
export function costOf(
  runtime: LimiterRuntime,
  said: CallOptions['cost'],
  args: readonly unknown[] | undefined,
  weight?: number,
): Cost {
  if (weight !== undefined && weight !== 1) return weighed(runtime, said, args, weight)
  if (!said) return runtime.metered ? runtime.estimator.cost(args, runtime.limits) : ONE
  const { requests = 1 } = said
  for (const name in said) {
    if (!runtime.dimensions.has(name) && name !== PLACES) {
      const known = [...runtime.dimensions]
      throw new TypeError(
        `cost has no limit ${text(name)} in '${runtime.name}'${didYouMean(name, known, DIMENSION_SYNONYMS)}; known: ${known.join(', ')}`,
      )
    }
  }
  if (runtime.tokens.every((of) => said[of] !== undefined)) return total({ ...said, requests })
  return runtime.estimator.cost(args, runtime.limits, { ...said, requests })
}

/** Sets the weight of a call that takes more than one slot, or none. */
function weighed(
  runtime: LimiterRuntime,
  said: CallOptions['cost'],
  args: readonly unknown[] | undefined,
  weight: number,
): Cost {
  if (runtime.chain.some(({ shared, issuer }) => shared && issuer.limitSet.maxConcurrent < Infinity))
    throw new TypeError(
      `'${runtime.name}': weight must be 1 when a store shares maxConcurrent, got ${weight}. Use a limit with a dimension of your own instead`,
    )
  return costOf(runtime, { ...said, [PLACES]: weight }, args)
}

/** The policy of a call: its own options, with the limiter's options as defaults. */
export function policyOf(
  runtime: LimiterRuntime,
  call: CallOptions & Partial<Pick<CallPolicy, 'classify' | 'usage' | 'streamIdleMs' | 'wrapper'>> = {},
): CallPolicy {
  const { options } = runtime
  const maxWaitMs = call.maxWaitMs ?? options.maxWaitMs
  const timeoutMs = call.timeoutMs ?? options.timeoutMs
  return {
    runtime,
    priority: call.priority ?? 0,
    tenant: call.tenant,
    id: call.id,
    signal: call.signal,
    maxWaitMs: maxWaitMs === 0 ? 0 : bound(maxWaitMs, 'maxWaitMs'),
    maxRefusals: call.maxRefusals ?? options.maxRefusals ?? Infinity,
    timeoutMs: bound(timeoutMs, 'timeoutMs'),
    retry: (call.retry ?? options.retry) || undefined,
    classify: call.classify ?? options.classify,
    usage: call.usage,
    streamIdleMs: call.streamIdleMs ?? 300_000,
    wrapper: call.wrapper,
  }
}

/** Reads a maximum time in ms. A missing one means no bound. */
function bound(time: Duration | undefined, name: string): number {
  return time === undefined ? Infinity : duration(time, name)
}

export function runtimeOf(limiter: unknown, name: string): LimiterRuntime {
  const runtime = (limiter as Partial<BucketRateLimiter> | undefined)?.[RUNTIME]
  if (!runtime) throw new TypeError(`${name} must be a BucketRateLimiter, got ${text(limiter)}`)
  return runtime
}
