// The SDKs built by one generator (openai, @anthropic-ai/sdk, groq-sdk) share a core with one method in which each
// attempt begins: `makeRequest`. It runs outside the timer, and once for each attempt of the SDK's own retry loop.
//
//   makeRequest ── waits for the ticket ──▶ prepareOptions, auth, body, timer ──▶ fetch: carries the ticket
//       ▲                                                                           │
//       ├── refused: the error made by the SDK waits in the queue ◀─────────────────┤
//       └── failed otherwise: the SDK's own loop, delay and count ◀─────────────────┘
//
// It runs before credentials and bodies are created, which would expire or take memory in the queue, and before
// the SDK listens to the caller's signal. Anthropic's public middleware runs after all that. It also treats an
// error whose name mentions time ("WaitTimeoutError") as a lost connection: it would retry that call and drop the
// error.
//
// So refused calls wait in the queue as long as necessary and do not count against `maxRetries`. All other
// failures are retried by the SDK, each attempt with its own ticket, at the call's original place in the queue. An
// SDK without retries (`maxRetries: 0`) leaves them to the limiter's `retry`. `makeRequest` is private to the
// SDKs. A test checks that it exists, and a client without it is rejected. A request that reaches `fetch` in
// another way is limited there.

import { ATTEMPT, Attempt, type Fetch, type Marked } from './attempt.ts'
import { limitedFetch } from './fetch.ts'
import { withWebBody } from './node-fetch.ts'
import { type Limited, limitedWith, refuseLimited } from './limited.ts'
import type { ClientTicket, LimitedCall, Limits } from './limits.ts'
import { describeStray, isRepeatable } from './request.ts'

/** The options of a request, as the core passes them on. */
export interface RequestOptions {
  method: string
  path: string
  body?: unknown
  signal?: AbortSignal | null | undefined
  maxRetries?: number | undefined
  fetchOptions?: Marked | undefined
  __metadata?: Record<string, unknown> | undefined
}

type MakeRequest = (
  options: RequestOptions | PromiseLike<RequestOptions>,
  retriesRemaining: number | null,
  ...more: unknown[]
) => Promise<unknown>

export interface Core {
  maxRetries: number
  withOptions(options: object): Core
  fetch: Fetch
  makeRequest: MakeRequest
}

/**
 * The core before `withOptions` existed (openai 4, @anthropic-ai/sdk before 0.50, groq-sdk 0). It builds its own
 * request.
 */
interface OldCore extends Omit<Core, 'withOptions'> {
  _options: object
  buildRequest(options: RequestOptions, ...more: unknown[]): Built | Promise<Built>
}
interface Built {
  req: object
}

/** How calls of a client are described. */
export interface Dialect {
  /** The name in errors: `limitOpenAI`. */
  name: string
  /** The supported clients, in errors: 'openai 4 or later'. */
  sdk: string
  /** Whether a call to this path generates something. */
  generates(path: string): boolean
  /** The model of a call whose body does not name it. */
  modelOf(options: RequestOptions): string | undefined
  /** Properties that `withOptions` of this client does not copy. */
  remember?: object
}

/** Creates a client like this one whose calls wait for tickets. */
export function limitClient<C extends object>(
  client: C,
  limits: Limits,
  dialectOf: (client: C) => Dialect,
): Limited<C> {
  const dialect = dialectOf(Object(client) as C)
  const bare = Object(client) as C & Partial<Core>
  const old = bare as Partial<OldCore>
  const known =
    typeof bare.withOptions === 'function' || (old._options && typeof old.buildRequest === 'function')
  if (typeof bare.makeRequest !== 'function' || !known) {
    const got = client instanceof Object ? client.constructor.name : String(client)
    throw new TypeError(`${dialect.name} needs a client of ${dialect.sdk}, got ${got}`)
  }
  refuseLimited(client, dialect.name)
  return limitedWith(limits, (limits) => copyOf(bare as C & Core, limits, dialectOf, dialect))
}

function copyOf<C extends object>(
  bare: C & Core,
  limits: Limits,
  dialectOf: (client: C) => Dialect,
  dialect: Dialect,
): C {
  const { fetch } = bare
  const inside = limitedFetch(withWebBody(fetch), limits, describeStray(dialect.generates))
  const limited = remade(bare, { ...dialect.remember, fetch: inside }) as C & Core
  const { makeRequest, withOptions } = limited
  const own = {
    makeRequest: inLine(limits, dialect, limited, makeRequest.bind(limited)),
    ...(withOptions
      ? {
          withOptions: (options: object) =>
            limitClient(
              withOptions.call(limited, { ...dialect.remember, fetch, ...options }) as C,
              limits,
              dialectOf,
            ),
        }
      : { buildRequest: marking(limited as unknown as OldCore) }),
  }
  for (const [key, value] of Object.entries(own))
    Object.defineProperty(limited, key, { value, configurable: true, writable: true })
  return limited
}

/** A client with the same options except these. */
function remade(client: Core | (Core & OldCore), options: object): Core {
  if (typeof client.withOptions === 'function') return client.withOptions(options)
  const make = client.constructor as new (options: object) => Core
  return new make({ ...(client as OldCore)._options, ...options })
}

/** The old core passes no options to `fetch`, so the attempt is attached to the request itself. */
function marking(client: OldCore): OldCore['buildRequest'] {
  const { buildRequest } = client
  return (options, ...more) => {
    const marked = (built: Built) => ({ ...built, req: { ...built.req, ...options.fetchOptions } })
    const built = buildRequest.call(client, options, ...more)
    return 'then' in built ? built.then(marked) : marked(built)
  }
}

function inLine(limits: Limits, dialect: Dialect, client: Core, makeRequest: MakeRequest): MakeRequest {
  return async (input, retriesRemaining, ...more) => {
    const given = await input
    const call = callOf(given, dialect)
    if (!limits.covers(call)) return makeRequest(given, retriesRemaining, ...more)
    const before = given.fetchOptions?.[ATTEMPT]
    // The caller's own object must not be marked. The object of a retry is ours.
    const options = before ? given : { ...given }
    try {
      let grant: ClientTicket = await (before && before.state !== 'answered'
        ? before.again()
        : limits.grant(call))
      for (let tries = 1; ; tries++) {
        const attempt = new Attempt(grant, (given.maxRetries ?? client.maxRetries) === 0)
        options.fetchOptions = { ...options.fetchOptions, [ATTEMPT]: attempt }
        try {
          const answer = await makeRequest(options, retriesRemaining, ...more)
          // Something else answered, such as a cache in a middleware.
          if (attempt.state === 'unsent') attempt.fail(undefined)
          return answer
        } catch (error) {
          attempt.restoreHeaders()
          if (attempt.state !== 'refused' || !canRepeat(options)) {
            attempt.fail(error)
            throw error
          }
          grant = await attempt.refuse(error)
          // The SDK may add a listener at each attempt and never remove it, and Node warns at the eleventh.
          if (given.signal && tries >= 8) options.signal = AbortSignal.any([given.signal])
        }
      }
    } catch (error) {
      const { signal } = options
      if (!signal?.aborted || error !== signal.reason) throw error
      // Aborted in the queue. The SDK checks the signal before it sends anything, and throws its own error.
      return makeRequest(options, 0, ...more)
    }
  }
}

export function callOf(options: RequestOptions, dialect: Dialect): LimitedCall {
  const { method, path, body, signal } = options
  return {
    model: dialect.modelOf(options),
    request: body,
    generates: method.toLowerCase() === 'post' && dialect.generates(path.replace(/\?.*/, '')),
    signal: signal ?? undefined,
  }
}

export function canRepeat({ body, __metadata }: RequestOptions): boolean {
  return isRepeatable(body) && __metadata?.['hasStreamingBody'] !== true
}
