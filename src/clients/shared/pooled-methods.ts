// A client over a pool, for SDKs without a single place that all requests pass through. Methods that generate
// become calls of the pool, and go to the client of the first target with room. Everything else goes to the first
// target.

import type { AnyLimiter } from 'llmiter'
import { fields } from '../../lib/validate.ts'
import {
  CALL_OPTIONS,
  type ClientPool,
  type ClientTarget,
  type Pooled,
  type PooledCallOptions,
} from './pooled.ts'

/** The differences between the SDKs. */
export interface PooledMethods {
  /** The methods that generate, such as 'models.generateContent'. */
  readonly generates: readonly string[]
  signalOf(args: readonly unknown[]): AbortSignal | undefined
  modelOf(args: readonly unknown[], client: object): string | undefined
  /** Replaces the model in the arguments, if one is given, and the signal. */
  rewrite(args: readonly unknown[], model: string | undefined, signal: AbortSignal | undefined): unknown[]
}

type Methods = Record<string, unknown>

/** `limit` puts the limiter of a target into its client. */
export function poolMethods<C extends object>(
  pool: ClientPool<C>,
  limit: (client: C, limiter: AnyLimiter) => C,
  sdk: PooledMethods,
): Pooled<C> {
  const clients = new Map(
    pool.targets.map(({ name, client, limiter }) => {
      if (!client) throw new TypeError(`targets: ${name} has no client`)
      return [name, limit(client, limiter)] as const
    }),
  )
  return over(pool, clients, sdk, {})
}

function over<C extends object>(
  pool: ClientPool<C>,
  clients: ReadonlyMap<string, C>,
  sdk: PooledMethods,
  own: PooledCallOptions,
): Pooled<C> {
  const home = clients.get(own.target ?? pool.targets[0]!.name) ?? clients.values().next().value!
  const spread = (path: string, args: readonly unknown[]) => {
    const signal = sdk.signalOf(args)
    const send = (target: ClientTarget<C>, until: AbortSignal | undefined) =>
      invoke(clients.get(target.name)!, path, sdk.rewrite(args, target.model, until))
    const model = sdk.modelOf(args, home)
    const call = { ...own, ...(signal && { signal }), ...(model !== undefined && { model }) }
    return pool.run(send, { ...call, request: args[0], share: false })
  }
  const withLimiterOptions = (options: PooledCallOptions) => {
    fields(options, 'withLimiterOptions', CALL_OPTIONS)
    return over(pool, clients, sdk, { ...own, ...options })
  }
  const seen = (object: object, path: string): object =>
    new Proxy(object, {
      get(target, key) {
        if (path === '' && key === 'withLimiterOptions') return withLimiterOptions
        // Read from the object itself, because its getters may read private fields.
        const value = Reflect.get(target, key, target) as unknown
        if (typeof key === 'symbol') return value
        const at = path ? `${path}.${key}` : key
        if (sdk.generates.includes(at)) return (...args: unknown[]) => spread(at, args)
        if (typeof value === 'function') return value.bind(target) as unknown
        const holds = sdk.generates.some((method) => method.startsWith(`${at}.`))
        return holds && typeof value === 'object' && value !== null ? seen(value, at) : value
      },
    })
  return seen(home, '') as Pooled<C>
}

function invoke(client: object, path: string, args: readonly unknown[]): unknown {
  const steps = path.split('.')
  const name = steps.pop()!
  const holder = steps.reduce((from, step) => from[step] as Methods, client as Methods)
  return (holder[name] as (...args: readonly unknown[]) => unknown).apply(holder, [...args])
}
