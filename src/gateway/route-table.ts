// The targets and routes of the current configuration, and the routes that calls contain.

import type { BucketRateLimiter, Store } from 'llmiter'
import { GatewayError } from './errors.ts'
import type { GatewayOptions } from './options.ts'
import { compileRoute, type RoutePlan } from './portkey.ts'
import { planOf, Route } from './route.ts'
import type { SavedPools } from './state.ts'
import { Target } from './target.ts'

const DEFAULT = 'default'
const MOST_OF_CLIENTS = 50
const LONGEST_CONFIG = 10_000

export class RouteTable {
  /** The targets of the current configuration, by name. */
  targets: ReadonlyMap<string, Target> = new Map()
  #routes: ReadonlyMap<string, Route> = new Map()
  /** Routes contained in calls, by their text. */
  readonly #ofClients = new Map<string, Route>()
  /** Includes targets of earlier configurations. */
  readonly #known = new Map<string, Target>()
  readonly #made: (limiter: BucketRateLimiter) => void
  readonly #saved: SavedPools

  readonly #store: Store | undefined

  /**
   * `made` is called with each limiter. `saved`: the state before a restart. `store`: where gateways share limits.
   */
  constructor(made: (limiter: BucketRateLimiter) => void, saved: SavedPools, store: Store | undefined) {
    this.#store = store
    this.#made = made
    this.#saved = saved
  }

  /** Applies a configuration. Limiters of targets that remain are kept. */
  load({ targets, routes = {} }: GatewayOptions): void {
    const present = targets.map((options) => {
      const known = this.#known.get(options.name)
      if (known?.adopt(options)) return known
      const target = new Target(options, this.#made, this.#store)
      this.#known.set(options.name, target)
      return target
    })
    const byName = new Map(present.map((target) => [target.name, target]))
    const own = Object.entries(routes).map(([name, config]) => {
      const plan = compileRoute(config, byName, `routes.${name}`, false)
      return [name, new Route(plan, name, this.#saved)] as const
    })
    this.targets = byName
    this.#ofClients.clear()
    this.#routes = new Map([[DEFAULT, new Route(planOf(present), DEFAULT, this.#saved)], ...own])
  }

  /**
   * The route of a call: by its name, or as its own config object.
   *
   * @throws GatewayError
   */
  routeFor(config: string | undefined): Route {
    if (config === undefined) return this.#routes.get(DEFAULT)!
    const known = this.#routes.get(config) ?? this.#ofClients.get(config)
    if (known) return known
    if (!config.startsWith('{')) {
      const names = [...this.#routes.keys()].join(', ')
      const message = `x-portkey-config: there is no route '${config.slice(0, 80)}'; known: ${names}`
      throw new GatewayError(400, 'unknown_route', message)
    }
    const route = new Route(planOfClient(config, this.targets), config, {})
    if (this.#ofClients.size >= MOST_OF_CLIENTS) this.#ofClients.delete(this.#ofClients.keys().next().value!)
    this.#ofClients.set(config, route)
    return route
  }

  /** Limiters return what they hold of shared limits. */
  stop(): void {
    for (const { limiters } of this.#known.values()) for (const limiter of limiters.values()) limiter.stop()
  }

  /** All routes, including those contained in calls. */
  all(): Route[] {
    return [...this.#routes.values(), ...this.#ofClients.values()]
  }

  snapshots(): SavedPools {
    return Object.assign({}, ...[...this.#routes.values()].map((route) => route.snapshots())) as SavedPools
  }
}

/** @throws GatewayError that names the field that is wrong or not supported. */
function planOfClient(config: string, targets: ReadonlyMap<string, Target>): RoutePlan {
  try {
    if (config.length > LONGEST_CONFIG) throw new TypeError(`it is longer than ${LONGEST_CONFIG} characters`)
    return compileRoute(JSON.parse(config), targets, 'config', true)
  } catch (error) {
    throw new GatewayError(400, 'bad_route', `x-portkey-config: ${(error as Error).message}`, {
      mayRetry: false,
    })
  }
}
