// A client whose calls go to whichever client of a pool has room first. The pool takes the ticket, and the client of
// the target, which has the limiter of the target inside, takes it over: so the ticket is held, charged and given back
// as for any limited client.
//
// An SDK would try a call again at the same place. Here the pool does that, at the next target.

import type { AnyLimiter, Duration, Usage } from 'llmiter'
import { watchStream } from '../../lib/observe-stream.ts'
import { fields } from '../../lib/validate.ts'
import { renewed } from './attempt.ts'
import { BodyReader } from './body.ts'
import { firstEvents } from './first-events.ts'
import { callOf, canRepeat, type Core, type Dialect, type RequestOptions } from './stainless.ts'

/** A pool of `llmiter/pool`, whose targets have a client each. */
export interface ClientPool<C> {
  /** The targets, each with its limiter and client. */
  readonly targets: readonly ClientTarget<C>[]
  /** Makes a call with whichever target has room first. */
  run<R>(
    fn: (target: ClientTarget<C>, signal: AbortSignal | undefined) => R,
    call?: object,
  ): Promise<Awaited<R>>
}

export interface ClientTarget<C> {
  readonly name: string
  readonly limiter: AnyLimiter
  readonly client: C
  /** The model that it is asked for, whatever the call names. */
  readonly model?: string
}

/** What the calls of a pooled client may have of their own. */
export interface PooledCallOptions {
  /**
   * Higher goes first.
   * @default 0
   */
  priority?: number
  /** Tenants take fair turns. */
  tenant?: string
  /** The longest wait for a target, then `WaitTimeoutError`. */
  maxWaitMs?: Duration
  /** The one target that may answer: where the file, batch or stored response is that the call speaks of. */
  target?: string
}

/** A client over a pool: its own type, and one method more. */
export type Pooled<C> = C & {
  /**
   * The same client, whose calls have these options.
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
    // Lists, files and batches are of one account: they stay with the first target, or with the one that is named.
    if (!generates) return home.makeRequest(given, retriesRemaining, ...more)
    // Its answer is a body that can be read once: never shared.
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
      // The SDK reads the event itself, and throws what it makes of it.
      if (failure?.answer && error === failure.error) return failure.answer
      if (!signal?.aborted || error !== signal.reason) throw error
      // Given up in the queue. The SDK finds the signal aborted before it sends anything, and throws its own error.
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

/** An answer that is a stream of events, when the first content of that has come. Rejects when it breaks before. */
async function begun(answer: unknown): Promise<{ answer: unknown; failure?: unknown }> {
  const { response } = Object(answer) as { response?: Response }
  if (!response?.body || !EVENTS.test(response.headers.get('content-type') ?? '')) return { answer }
  const { body, failure } = await firstEvents(response.body)
  return { answer: { ...(answer as object), response: renewed(response, body) }, failure }
}

/** What the body of a response says of its usage, when it has been read. */
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
