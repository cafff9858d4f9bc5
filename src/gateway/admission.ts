// Decides whether a call may wait: it must be able to start before its maximum wait, and the queue must have room.

import { BucketRateLimiter, type Store } from 'llmiter'
import type { Pool, PoolCall } from 'llmiter/pool'
import { type ClientCall, costOf, modelAt, requestOf } from './call.ts'
import { GatewayError } from './errors.ts'
import type { StoredKey } from './key-ring.ts'
import type { GatewayOptions } from './options.ts'
import { maySpend } from './protocol.ts'
import type { Leaf, Route } from './route.ts'
import type { Spend } from './spend.ts'

const MOST_WAITING = 10_000

/** The call options for the pool. */
export function poolCallOf(
  route: Route,
  pool: Pool<Leaf>,
  call: ClientCall,
  spend: Spend,
  mostWaitMs: number | undefined,
): PoolCall {
  const { model, terms, key } = call
  const { priority, target } = terms
  const tenant = terms.tenant ?? key?.id
  const maxWaitMs = terms.maxWaitMs ?? mostWaitMs
  const counts =
    pool.targets.some(({ plan }) => plan.target.countsTokens) || key?.limits !== undefined || spend.reads(key)
  const request = counts || route.readsBody ? requestOf(call) : undefined
  const params = { ...(route.readsBody && Object(request)), ...(model !== undefined && { model }) }
  return {
    ...costOf(call),
    ...(counts && { request }),
    ...(terms.metadata && { metadata: terms.metadata }),
    ...(model !== undefined && { model }),
    params,
    url: { pathname: call.pathname },
    ...(priority !== undefined && { priority }),
    ...(tenant !== undefined && { tenant }),
    ...(maxWaitMs !== undefined && { maxWaitMs }),
    ...(target !== undefined && { target: knownTarget(pool, target) }),
  }
}

/** The call in the forms in which its targets may receive it, if it can spend anything. */
export function variantsOf(pool: Pool<Leaf>, call: ClientCall, options: PoolCall): PoolCall[] {
  if (!maySpend(call.method, call.pathname)) return []
  const all = new Set(pool.targets.map(({ plan }) => plan.overrides))
  return [...all].map((overrides) => {
    const model = modelAt(call, overrides)
    if (!overrides || options.request === undefined) return options
    const request = { ...Object(options.request), ...overrides } as object
    return { ...options, request, ...(model !== undefined && { model }) }
  })
}

function knownTarget(pool: Pool<Leaf>, name: string): string {
  const found = pool.targets.find(({ plan }) => plan.target.name === name)
  if (found) return found.name
  const known = [...new Set(pool.targets.map(({ plan }) => plan.target.name))].join(', ')
  const message = `x-llmiter-target: there is no target '${name.slice(0, 80)}'; known: ${known}`
  throw new GatewayError(400, 'unknown_target', message)
}

/** @throws GatewayError when the call would wait longer than it may, or the queue is full. */
export function admit(
  options: PoolCall,
  waitMs: () => number,
  waiting: number,
  { max = MOST_WAITING }: NonNullable<GatewayOptions['queue']> = {},
): void {
  const { maxWaitMs } = options
  if (typeof maxWaitMs === 'number' && maxWaitMs > 0) {
    const wait = waitMs()
    if (wait > maxWaitMs) {
      const message = `the call would wait ${Math.ceil(wait)} ms, which is longer than its maximum of ${maxWaitMs} ms`
      throw new GatewayError(429, 'wait_too_long', message, { retryAfterMs: wait })
    }
  }
  if (waiting >= max)
    throw new GatewayError(429, 'queue_full', `${waiting} calls wait, which is the maximum`, {
      retryAfterMs: waitMs(),
    })
}

/** Keys may have their own limits. Their calls wait for these first. */
export class KeyLimiters {
  readonly #limiters = new Map<string, BucketRateLimiter>()
  readonly #store: Store | undefined

  constructor(store: Store | undefined) {
    this.#store = store
  }

  stop(): void {
    for (const limiter of this.#limiters.values()) limiter.stop()
  }

  of(key: StoredKey | undefined): BucketRateLimiter | undefined {
    if (!key?.limits) return undefined
    let limiter = this.#limiters.get(key.id)
    if (!limiter) {
      const name = `key ${key.name} ${key.id}`
      limiter = new BucketRateLimiter({
        name,
        ramp: false,
        ...key.limits,
        ...(this.#store && { store: this.#store }),
      })
      this.#limiters.set(key.id, limiter)
    }
    return limiter
  }
}
