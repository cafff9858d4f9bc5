// Routes in the format of Portkey's config objects: a tree of strategies over the operator's targets.
// `virtual_key`, or `provider: '@name'`, names one target. `provider: 'openai'` selects all targets with this
// protocol.

import type { BreakerOptions, Condition, PoolCall, PoolQuery, Strategy } from 'llmiter/pool'
import { MAX_TIMER_MS } from '../lib/units.ts'
import { choice, fields, given, isObject, number, text } from '../lib/validate.ts'
import { compileCondition } from '../pool/query.ts'
import { type Protocol, PROTOCOLS } from './protocol.ts'
import type { Target } from './target.ts'

/** A target at one position of a route. */
export interface LeafPlan {
  /** Unique within the route. */
  readonly name: string
  readonly target: Target
  readonly weight?: number
  readonly tier?: number
  /** Fields that are set in the body. */
  readonly overrides?: Readonly<Record<string, unknown>>
  readonly timeoutMs?: number
  /** Whether another target is tried after this status, in addition to the statuses after which one always is. */
  readonly goesOn?: (status: number) => boolean
  /** Its position in Portkey's notation: `config.targets[0]`. */
  readonly option?: string
  readonly breaker?: BreakerOptions
}

/** Keeps calls of one key at one target. */
interface StickyRule {
  readonly keyOf: (call: PoolCall) => string | undefined
  readonly ttlMs: number
}

export interface RoutePlan {
  readonly leaves: readonly LeafPlan[]
  /** The strategy over the leaves that can answer. Undefined if none can. Default: by tiers and weights. */
  readonly strategyOf?: (leaves: ReadonlySet<string>) => Strategy | undefined
  readonly sticky?: StickyRule
  /** How long answers are cached for identical calls. Default: not cached. */
  readonly cacheMs?: number
  /** Whether the route reads more of the body than its model. */
  readonly readsBody?: boolean
}

type Json = Readonly<Record<string, unknown>>

/** What a part of the tree passes to its children. */
interface Inherited {
  readonly overrides: Json
  readonly timeoutMs: number | undefined
  readonly retry: Retry
  readonly fallback: ((status: number) => boolean) | undefined
  readonly breaker: BreakerOptions | undefined
  /** Whether the strategies above leave the first choice to this part. */
  readonly first: boolean
}

interface Retry {
  readonly attempts: number
  readonly statuses: readonly number[]
}

const KEYS = [
  'strategy',
  'cb_config',
  'targets',
  'name',
  'weight',
  'provider',
  'virtual_key',
  'override_params',
  'request_timeout',
  'retry',
]
const RETRY_ON = [429, 500, 502, 503, 504]
const MOST_RETRIES = 5
const MOST_LEAVES = 100
/** What conditions and sticky sessions may read from a call. */
const READABLE = /^(model|tenant|url\.pathname|(metadata|params)\..+)$/
const STRATEGY_KEYS = ['mode', 'on_status_codes', 'conditions', 'default', 'sticky_session', 'cb_config']
const COOLDOWN_MS = 30_000
const LEAST_REQUESTS = 10
const STICKY_S = 3600
const CACHE_S = 7 * 24 * 3600

/** A part of the tree. */
interface Branch {
  /** The strategy over the leaves that can answer. Undefined if none can. */
  readonly strategy: (present: ReadonlySet<string>) => Strategy | undefined
  /** The key by which a call sticks to one target here. */
  readonly stickyKey?: ((call: PoolCall) => string | undefined) | undefined
}

class Compiler {
  readonly leaves: LeafPlan[] = []
  /** The paths into a call that conditions and sticky sessions read. */
  readonly paths = new Set<string>()
  stickyMs: number | undefined
  readonly #targets: ReadonlyMap<string, Target>
  /** Whether the route comes from a client, whose patterns could run forever. */
  readonly #ofClient: boolean

  constructor(targets: ReadonlyMap<string, Target>, ofClient: boolean) {
    this.#targets = targets
    this.#ofClient = ofClient
  }

  branch(node: Json, where: string, above: Inherited): Branch {
    fields(node, where, KEYS)
    const { targets, override_params: overrides = {}, request_timeout: timeout } = node
    if (!isObject(overrides) || Array.isArray(overrides))
      throw new TypeError(`${where}.override_params must be an object, got ${text(overrides)}`)
    if (timeout !== undefined) number(timeout, `${where}.request_timeout`, 'a number above 0')
    const own: Inherited = {
      overrides: { ...above.overrides, ...overrides },
      timeoutMs: timeout === undefined ? above.timeoutMs : Math.min(MAX_TIMER_MS, timeout as number),
      retry: retryOf(node['retry'], `${where}.retry`) ?? above.retry,
      fallback: above.fallback,
      breaker: breakerOf(node['cb_config'], `${where}.cb_config`) ?? above.breaker,
      first: above.first,
    }
    if (targets === undefined) return this.#leaf(node, where, own)
    if (!Array.isArray(targets) || targets.length === 0)
      throw new TypeError(`${where}.targets must be a list of at least one target, got ${text(targets)}`)
    return this.#tree(node, targets as Json[], where, own)
  }

  #tree(node: Json, targets: readonly Json[], where: string, above: Inherited): Branch {
    const strategy = (node['strategy'] ?? {}) as Json
    fields(strategy, `${where}.strategy`, STRATEGY_KEYS)
    const mode = strategy['mode'] ?? 'single'
    const make = Object.hasOwn(MODES, String(mode)) ? MODES[String(mode)] : undefined
    if (!make)
      throw new TypeError(
        `${where}.strategy.mode must be ${Object.keys(MODES).join(', ')}, got ${text(mode)}`,
      )
    const own: Inherited = {
      ...above,
      ...(mode === 'fallback' && { fallback: fallbackOf(strategy, where, above) }),
      breaker: breakerOf(strategy['cb_config'], `${where}.strategy.cb_config`) ?? above.breaker,
    }
    const leavesChoice = (i: number) => mode === 'conditional' || (mode !== 'loadbalance' && i === 0)
    const branches = targets.map((one, i) =>
      this.branch(one, `${where}.targets[${i}]`, { ...own, first: above.first && leavesChoice(i) }),
    )
    const made = make({ branches, targets, strategy, where: `${where}.strategy`, compiler: this })
    const { sticky_session: sticky } = strategy
    if (sticky === undefined) return made
    const at = `${where}.strategy.sticky_session`
    if (mode !== 'loadbalance')
      throw new TypeError(`${at} belongs to the mode loadbalance, not to ${text(mode)}`)
    if (!above.first)
      throw new TypeError(
        `${at} is served where the first target is chosen, not below a loadbalance or in a later target of a fallback`,
      )
    return { ...made, stickyKey: this.#sticky(sticky, at) }
  }

  /** Patterns in a client's route are not run, because they could block the gateway. */
  condition(query: unknown, at: string): void {
    if (this.#ofClient && /"\$regex"/.test(JSON.stringify(query)))
      throw new TypeError(`${at}: $regex is served in routes of the operator's configuration only`)
    compileCondition(query as Condition, at)
    for (const path of pathsIn(query)) this.#read(path, `${at}.${path}`)
  }

  #read(path: string, at: string): void {
    if (!READABLE.test(path))
      throw new TypeError(
        `${at}: a route can read metadata.NAME, params.NAME and url.pathname, got ${text(path)}`,
      )
    this.paths.add(path)
  }

  #sticky(sticky: unknown, at: string): (call: PoolCall) => string | undefined {
    fields(sticky, at, ['hash_fields', 'ttl'])
    const { hash_fields: names, ttl = STICKY_S } = sticky as Json
    if (!Array.isArray(names) || names.length === 0 || names.some((name) => typeof name !== 'string'))
      throw new TypeError(
        `${at}.hash_fields must be a list of fields such as 'metadata.user_id', got ${text(names)}`,
      )
    const ms = 1000 * number(ttl, `${at}.ttl`, 'a number above 0')
    if (this.stickyMs !== undefined && this.stickyMs !== ms)
      throw new TypeError(
        `${at}.ttl must be the same in the whole route, got ${text(ttl)} and ${this.stickyMs / 1000}`,
      )
    this.stickyMs = ms
    for (const [i, name] of (names as string[]).entries()) this.#read(name, `${at}.hash_fields[${i}]`)
    const paths = (names as string[]).map((name) => name.split('.'))
    return (call) => {
      const values = paths.map((path) => path.reduce<unknown>((part, step) => Object(part)[step], call))
      return values.every((value) => value === undefined) ? undefined : JSON.stringify([at, values])
    }
  }

  #leaf(node: Json, where: string, { overrides, timeoutMs, retry, fallback, breaker }: Inherited): Branch {
    const found = this.#meant(node, where)
    const goesOn = (status: number) =>
      (fallback?.(status) ?? false) || (retry.attempts > 0 && retry.statuses.includes(status))
    // A retry is another entry of the same target after the first one. It takes a ticket like any other attempt.
    const tries = Array.from({ length: retry.attempts + 1 }, (_, again) =>
      found.map((target): string => {
        const name = `${target.name} at ${where}${again ? `, retry ${again}` : ''}`
        if (
          this.leaves.push({
            name,
            target,
            goesOn,
            option: where,
            ...(Object.keys(overrides).length > 0 && { overrides }),
            ...(timeoutMs !== undefined && { timeoutMs }),
            ...(breaker && { breaker }),
          }) > MOST_LEAVES
        )
          throw new TypeError(`${where}: a route may have ${MOST_LEAVES} targets, retries included`)
        return name
      }),
    )
    return {
      strategy(present) {
        const tiers = tries.map((names) => names.filter((name) => present.has(name)).map((use) => ({ use })))
        return tiers[0]!.length > 0 ? { fallback: tiers.map((loadbalance) => ({ loadbalance })) } : undefined
      },
    }
  }

  #meant({ virtual_key: key, provider }: Json, where: string): Target[] {
    const said = key ?? provider
    if (typeof said !== 'string')
      throw new TypeError(`${where} must have virtual_key or provider, which names a target`)
    const target = this.#targets.get(said.replace(/^@/, ''))
    if (target) return [target]
    if (key === undefined && Object.hasOwn(PROTOCOLS, said)) {
      const all = [...this.#targets.values()].filter(({ options }) => options.protocol === (said as Protocol))
      if (all.length > 0) return all
    }
    const known = [...this.#targets.keys()].join(', ')
    throw new TypeError(
      `${where}.${key === undefined ? 'provider' : 'virtual_key'} names no target: ${text(said)}; known: ${known}`,
    )
  }
}

interface Parts {
  readonly branches: readonly Branch[]
  readonly targets: readonly Json[]
  readonly strategy: Json
  readonly where: string
  readonly compiler: Compiler
}

const MODES: Record<string, (parts: Parts) => Branch> = {
  single: ({ branches }) => branches[0]!,
  fallback: ({ branches }) => ({
    strategy(present) {
      const all = branches.map(({ strategy }) => strategy(present)).filter((one) => one !== undefined)
      return all.length > 0 ? { fallback: all } : undefined
    },
    stickyKey: branches[0]!.stickyKey,
  }),
  loadbalance({ branches, targets, where }) {
    const weights = targets.map(({ weight = 1 }, i) =>
      number(weight, `${where.replace(/\.strategy$/, '')}.targets[${i}].weight`, 'a number of at least 0'),
    )
    if (weights.every((weight) => weight === 0))
      throw new TypeError(`${where}: at least one target must have a weight above 0`)
    return {
      strategy(present) {
        const all = branches.flatMap(({ strategy }, i) => {
          const use = strategy(present)
          return use === undefined ? [] : [{ use, weight: weights[i]! }]
        })
        return all.some(({ weight }) => weight > 0) ? { loadbalance: all } : undefined
      },
    }
  },
  conditional({ branches, targets, strategy, where, compiler }) {
    const named = (name: unknown, at: string): Branch => {
      const i = targets.findIndex((target) => target['name'] === name)
      if (i >= 0) return branches[i]!
      throw new TypeError(
        `${at} names no target: ${text(name)}; known: ${targets.map((target) => String(target['name'])).join(', ')}`,
      )
    }
    const { conditions, default: rest } = strategy
    if (!Array.isArray(conditions) || conditions.length === 0)
      throw new TypeError(
        `${where}.conditions must be a list of at least one condition, got ${text(conditions)}`,
      )
    const choices = (conditions as Json[]).map((one, i) => {
      const at = `${where}.conditions[${i}]`
      fields(one, at, ['query', 'then'])
      compiler.condition(one['query'], `${at}.query`)
      return { when: one['query'] as PoolQuery, branch: named(one['then'], `${at}.then`) }
    })
    const otherwise = rest === undefined ? undefined : named(rest, `${where}.default`)
    const tests = choices.map(({ when, branch }) => ({ meets: compileCondition(when, where), branch }))
    return {
      strategy(present) {
        const last = otherwise?.strategy(present)
        return {
          conditional: choices.flatMap(({ when, branch }) => {
            const use = branch.strategy(present)
            return use === undefined ? [] : [{ when, use }]
          }),
          ...(last !== undefined && { otherwise: last }),
        }
      },
      stickyKey: (call) => (tests.find(({ meets }) => meets(call))?.branch ?? otherwise)?.stickyKey?.(call),
    }
  },
}

/** The paths into a call that a query reads. */
function pathsIn(query: unknown): string[] {
  return Object.entries(query as Json).flatMap(([key, value]) =>
    key === '$and' || key === '$or' ? (value as unknown[]).flatMap(pathsIn) : [key],
  )
}

function statusesOf(value: unknown, where: string): readonly number[] | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value) || value.some((one) => !Number.isInteger(one)))
    throw new TypeError(`${where} must be a list of statuses, got ${text(value)}`)
  return value as number[]
}

/** Any of the nested fallbacks may let a call continue. */
function fallbackOf(strategy: Json, where: string, above: Inherited): (status: number) => boolean {
  const statuses = statusesOf(strategy['on_status_codes'], `${where}.strategy.on_status_codes`)
  return (status) =>
    (statuses ? statuses.includes(status) : status >= 400) || (above.fallback?.(status) ?? false)
}

function retryOf(value: unknown, where: string): Retry | undefined {
  if (value === undefined) return undefined
  fields(value, where, ['attempts', 'on_status_codes', 'use_retry_after_header'])
  const { attempts = 0, on_status_codes: statuses, use_retry_after_header: honour = true } = value as Json
  choice(honour, `${where}.use_retry_after_header`, [true, false])
  number(attempts, `${where}.attempts`, 'a whole number of at least 0')
  return {
    attempts: Math.min(MOST_RETRIES, attempts as number),
    statuses: statusesOf(statuses, `${where}.on_status_codes`) ?? RETRY_ON,
  }
}

/** Failures are counted over a window as long as the cooldown. */
function breakerOf(value: unknown, where: string): BreakerOptions | undefined {
  if (value === undefined) return undefined
  fields(value, where, [
    'failure_threshold',
    'failure_threshold_percentage',
    'cooldown_interval',
    'failure_status_codes',
    'minimum_requests',
  ])
  const said = value as Json
  const { failure_threshold: failures, failure_threshold_percentage: percentage } = said
  const { cooldown_interval: cooldown = COOLDOWN_MS, minimum_requests: least = LEAST_REQUESTS } = said
  if (failures === undefined && percentage === undefined)
    throw new TypeError(`${where} must have failure_threshold or failure_threshold_percentage`)
  given(failures, (one) => number(one, `${where}.failure_threshold`, 'a whole number of at least 1'))
  given(percentage, (one) => number(one, `${where}.failure_threshold_percentage`, 'a number above 0'))
  number(least, `${where}.minimum_requests`, 'a whole number of at least 1')
  const openMs = number(cooldown, `${where}.cooldown_interval`, 'a number above 0')
  const statuses = statusesOf(said['failure_status_codes'], `${where}.failure_status_codes`)
  return {
    openMs,
    windowMs: openMs,
    ...(failures !== undefined && { failures: failures as number }),
    ...(statuses && { statuses }),
    ...(percentage === undefined
      ? { share: 1, minCalls: failures as number }
      : { share: Math.min(1, (percentage as number) / 100), minCalls: least as number }),
  }
}

function cacheMsOf(value: unknown, where: string): number | undefined {
  if (value === undefined) return undefined
  fields(value, where, ['mode', 'max_age'])
  const { mode, max_age: seconds = CACHE_S } = value as Json
  if (mode !== 'simple') throw new TypeError(`${where}.mode must be 'simple', got ${text(mode)}`)
  return 1000 * number(seconds, `${where}.max_age`, 'a number above 0')
}

/** @throws TypeError that names the field that is wrong or not supported. */
export function compileRoute(
  config: unknown,
  targets: ReadonlyMap<string, Target>,
  where: string,
  ofClient: boolean,
): RoutePlan {
  const compiler = new Compiler(targets, ofClient)
  fields(config, where, [...KEYS, 'cache'])
  const { cache, ...root } = config as Json
  const cacheMs = cacheMsOf(cache, `${where}.cache`)
  const { strategy, stickyKey } = compiler.branch(root, where, {
    overrides: {},
    timeoutMs: undefined,
    retry: { attempts: 0, statuses: [] },
    fallback: undefined,
    breaker: undefined,
    first: true,
  })
  return {
    leaves: compiler.leaves,
    strategyOf: strategy,
    readsBody: [...compiler.paths].some((path) => path.startsWith('params.') && path !== 'params.model'),
    ...(stickyKey &&
      compiler.stickyMs !== undefined && { sticky: { keyOf: stickyKey, ttlMs: compiler.stickyMs } }),
    ...(cacheMs !== undefined && { cacheMs }),
  }
}
