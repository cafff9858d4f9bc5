// A client whose calls go to the first client of a pool with room. The pool gets the ticket, and the client of the
// target, which contains the target's limiter, takes it over. So the ticket is held, charged and returned as with
// any limited client.
//
// An SDK would retry a call at the same target. Here the pool retries it at the next target.

import type { AnyLimiter, Duration, Usage } from 'llmiter'
import { watchStream } from '../../lib/observe-stream.ts'
import { fields } from '../../lib/validate.ts'
import { renewed } from './attempt.ts'
import { BodyReader } from './body.ts'
import { firstEvents } from './first-events.ts'
import { callOf, canRepeat, type Core, type Dialect, type RequestOptions } from './stainless.ts'

/** A pool of `llmiter/pool` whose targets each have a client. */
export interface ClientPool<C> {
  /** The targets, each with its limiter and client. */
  readonly targets: readonly ClientTarget<C>[]
  /** Makes a call with the first target that has room. */
  run<R>(
    fn: (target: ClientTarget<C>, signal: AbortSignal | undefined) => R,
    call?: object,
  ): Promise<Awaited<R>>
}

export interface ClientTarget<C> {
  readonly name: string
  readonly limiter: AnyLimiter
  readonly client: C
  /** The model that the target is called with, whatever the call names. */
  readonly model?: string
}

/** The options for some calls of a pooled client. */
export interface PooledCallOptions {
  /**
   * Higher goes first.
   * @default 0
   */
  priority?: number
  /** Tenants take fair turns. */
  tenant?: string
  /** The maximum wait for a target. After it the call rejects with `WaitTimeoutError`. */
  maxWaitMs?: Duration
  /** The only target that may answer: the one that stores the file, batch or response the call refers to. */
  target?: string
}

/** A client over a pool: its own type plus one method. */
export type Pooled<C> = C & {
  /**
   * Returns the client with these options for its calls.
   *
   * @throws TypeError when an option is wrong.
   */
  withLimiterOptions(options: PooledCallOptions): Pooled<C>
}

const EVENTS = /event-stream/i

export const CALL_OPTIONS = ['priority', 'tenant', 'maxWaitMs', 'target']

export function isPool<C>(value: unknown): value is ClientPool<C> {
  const { run, targets } = Object(value) as { run?: unknown; targets?: unknown }
  return typeof run === 'function' && Array.isArray(targets)
}

/** `limit` puts the limiter of a target into its client. */
export function poolClient<C extends object>(
  pool: ClientPool<C>,
  limit: (client: C, limiter: AnyLimiter) => C,
  dialectOf: (client: C) => Dialect,
): Pooled<C> {
  const clients = new Map(
    pool.targets.map(({ name, client, limiter }) => {
      if (!client) throw new TypeError(`targets: ${name} has no client`)
      return [name, limit(client, limiter) as C & Core] as const
    }),
  )
  return over(pool, clients, dialectOf, {})
}

function over<C extends object>(
  pool: ClientPool<C>,
  clients: ReadonlyMap<string, C & Core>,
  dialectOf: (client: C) => Dialect,
  own: PooledCallOptions,
): Pooled<C> {
  const [first] = clients.values()
  const pooled = first!.withOptions({}) as C & Core
  const methods = {
    makeRequest: spread(pool, clients, dialectOf, own),
    withOptions(options: object) {
      const others = [...clients].map(
        ([name, client]) => [name, client.withOptions(options) as C & Core] as const,
      )
      return over(pool, new Map(others), dialectOf, own)
    },
    withLimiterOptions(options: PooledCallOptions) {
      fields(options, 'withLimiterOptions', CALL_OPTIONS)
      return over(pool, clients, dialectOf, { ...own, ...options })
    },
  }
  for (const [key, value] of Object.entries(methods))
    Object.defineProperty(pooled, key, { value, configurable: true, writable: true })
  return pooled as unknown as Pooled<C>
}

function spread<C extends object>(
  pool: ClientPool<C>,
  clients: ReadonlyMap<string, C & Core>,
  dialectOf: (client: C) => Dialect,
  own: PooledCallOptions,
): Core['makeRequest'] {
  const home = clients.get(own.target ?? pool.targets[0]!.name) ?? clients.values().next().value!
  const dialect = dialectOf(home)
  return async (input, retriesRemaining, ...more) => {
    const given = await input
    const { request, model, signal, generates } = callOf(given, dialect)
    // Lists, files and batches belong to one account, so they go to the first target or to the named one.
    if (!generates) return home.makeRequest(given, retriesRemaining, ...more)
    // Its answer is a body that can be read only once, so it is never shared.
    const told = usageReport()
    let failure: { error: unknown; answer?: unknown } | undefined
    const send = async (target: ClientTarget<C>, until: AbortSignal | undefined) => {
      if (failure && !canRepeat(given)) throw failure.error
      try {
        const answer = await clients
          .get(target.name)!
          .makeRequest(optionsFor(given, target, until), 0, ...more)
        const first = await begun(answer)
        if (first.failure === undefined) return told.follow(first.answer)
        failure = { error: first.failure, answer: first.answer }
      } catch (error) {
        failure = { error }
      }
      throw failure.error
    }
    try {
      return await pool.run(send, {
        ...own,
        ...(signal && { signal }),
        model,
        request,
        share: false,
        usage: () => told.usage,
      })
    } catch (error) {
      // The SDK reads the event itself and throws its own error.
      if (failure?.answer && error === failure.error) return failure.answer
      if (!signal?.aborted || error !== signal.reason) throw error
      // Aborted in the queue. The SDK checks the signal before it sends anything, and throws its own error.
      return home.makeRequest(given, 0, ...more)
    }
  }
}

function optionsFor(
  given: RequestOptions,
  { model }: { readonly model?: string },
  signal: AbortSignal | undefined,
): RequestOptions {
  const options = { ...given, maxRetries: 0, ...(signal && { signal }) }
  const { body } = given
  return model !== undefined && typeof body === 'object' && body !== null && 'model' in body
    ? { ...options, body: { ...body, model } }
    : options
}

/** Waits for the first content of an answer that is an event stream. Rejects if the stream fails before that. */
async function begun(answer: unknown): Promise<{ answer: unknown; failure?: unknown }> {
  const { response } = Object(answer) as { response?: Response }
  if (!response?.body || !EVENTS.test(response.headers.get('content-type') ?? '')) return { answer }
  const { body, failure } = await firstEvents(response.body)
  return { answer: { ...(answer as object), response: renewed(response, body) }, failure }
}

/** The usage in the body of a response, once it has been read. */
function usageReport(): { usage: Promise<Usage | undefined>; follow(answer: unknown): unknown } {
  let tell: (usage: Usage | undefined) => void
  const usage = new Promise<Usage | undefined>((resolve) => (tell = resolve))
  return {
    usage,
    follow(answer) {
      const { response } = Object(answer) as { response?: Response }
      if (!response?.body) {
        tell(undefined)
        return answer
      }
      const reader = new BodyReader(response.headers.get('content-type') ?? '', {
        done: tell,
        failed: () => tell(undefined),
      })
      const body = watchStream(response.body, {
        reading: 0,
        ask() {},
        chunk: (chunk) => void reader.read(chunk),
        end: (failure, left) => tell(failure || left ? undefined : reader.read(undefined)),
      })
      return { ...(answer as object), response: renewed(response, body as ReadableStream) }
    },
  }
}
