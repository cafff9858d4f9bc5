// The additional members of limited clients.

import type { Limits, ClientCallOptions } from './limits.ts'

/** Marks limited clients, because a second limiter would wait inside the first. `limitersOf` reads it. */
const LIMITED = Symbol.for('llmiter.limited')
/** Holds the service that finds the limiter of a call. `runAll` reads it. */
const SERVICE = Symbol.for('llmiter.service')

/** A client with a limiter inside: its own type plus one method. */
export type Limited<C> = C & {
  /**
   * Returns the client with the same limiters, whose calls have these options.
   *
   * @example
   * const chat = openai.withLimiterOptions({ priority: 1, maxWaitMs: '10s' })
   * @throws TypeError when an option is wrong.
   */
  withLimiterOptions(options: ClientCallOptions): Limited<C>
}

export function refuseLimited(client: unknown, name: string): void {
  if (LIMITED in (Object(client) as object)) throw new TypeError(`${name}: this client is limited already`)
}

/**
 * `make` puts the limiter into the client. It is called once for the client itself, and once for each set of
 * options.
 */
export function limitedWith<C extends object>(limits: Limits, make: (limits: Limits) => C): Limited<C> {
  const own = {
    [LIMITED]: limits.group,
    [SERVICE]: limits.service,
    withLimiterOptions: (options: ClientCallOptions) => limitedWith(limits.withOptions(options), make),
  }
  const client = make(limits)
  for (const key of Reflect.ownKeys(own) as (keyof typeof own)[])
    Object.defineProperty(client, key, { value: own[key], configurable: true, writable: true })
  return client as Limited<C>
}
