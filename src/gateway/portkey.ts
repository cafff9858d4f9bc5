// Routes in the form of Portkey's config objects: a tree of strategies over the operator's targets. A target says by
// `virtual_key`, or by `provider: '@name'`, which one it is; `provider: 'openai'` means all that speak this protocol.

import type { Condition, PoolQuery, Strategy } from 'llmiter/pool'
import { fields, number, text } from '../lib/validate.ts'
import { compileCondition } from '../pool/query.ts'
import { type Protocol, PROTOCOLS } from './protocol.ts'
import type { Target } from './target.ts'

/** A target at one place of a route. */
export interface LeafPlan {
  /** Unique within the route. */
  readonly name: string
  readonly target: Target
  readonly weight?: number
  readonly tier?: number
  /** Fields that the body gets. */
  readonly overrides?: Readonly<Record<string, unknown>>
  readonly timeoutMs?: number
  /** Whether another target is tried after this status, beside those after which it always is. */
  readonly goesOn?: (status: number) => boolean
  /** Where it stands, as Portkey tells it: `config.targets[0]`. */
  readonly option?: string
}

export interface RoutePlan {
  readonly leaves: readonly LeafPlan[]
  /** Over those leaves that can answer; undefined when none of them can. Default: by tiers and weights. */
  readonly strategyOf?: (leaves: ReadonlySet<string>) => Strategy | undefined
}

type Json = Readonly<Record<string, unknown>>

/** What a part of the tree hands down to the parts within. */
interface Inherited {
  readonly overrides: Json
  readonly timeoutMs: number | undefined
  readonly retry: Retry
  readonly fallback: ((status: number) => boolean) | undefined
}

interface Retry {
  readonly attempts: number
  readonly statuses: readonly number[]
}

const KEYS = [
  'strategy',
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

type Branch = (present: ReadonlySet<string>) => Strategy | undefined

class Compiler {
  readonly leaves: LeafPlan[] = []
  readonly #targets: ReadonlyMap<string, Target>
  /** A client's own: its patterns could take for ever. */
  readonly #ofClient: boolean

  constructor(targets: ReadonlyMap<string, Target>, ofClient: boolean) {
    this.#targets = targets
    this.#ofClient = ofClient
  }

  branch(node: Json, where: string, above: Inherited): Branch {
    fields(node, where, KEYS)
    const { targets, override_params: overrides = {}, request_timeout: timeout } = node
    if (typeof overrides !== 'object' || overrides === null)
      throw new TypeError(`${where}.override_params must be an object, got ${text(overrides)}`)
    if (timeout !== undefined) number(timeout, `${where}.request_timeout`, 'a number above 0')
    const own: Inherited = {
      overrides: { ...above.overrides, ...overrides },
      timeoutMs: (timeout as number | undefined) ?? above.timeoutMs,
      retry: retryOf(node['retry'], `${where}.retry`) ?? above.retry,
      fallback: above.fallback,
    }
    if (targets === undefined) return this.#leaf(node, where, own)
    if (!Array.isArray(targets) || targets.length === 0)
      throw new TypeError(`${where}.targets must be a list of at least one target, got ${text(targets)}`)
    return this.#tree(node, targets as Json[], where, own)
  }

  #tree(node: Json, targets: readonly Json[], where: string, above: Inherited): Branch {
    const strategy = Object(node['strategy'] ?? {}) as Json
    fields(strategy, `${where}.strategy`, ['mode', 'on_status_codes', 'conditions', 'default'])
    const mode = strategy['mode'] ?? 'single'
    const make = Object.hasOwn(MODES, String(mode)) ? MODES[String(mode)] : undefined
    if (!make)
      throw new TypeError(
        `${where}.strategy.mode must be ${Object.keys(MODES).join(', ')}, got ${text(mode)}`,
      )
    const own = mode === 'fallback' ? { ...above, fallback: fallbackOf(strategy, where, above) } : above
    const branches = targets.map((one, i) => this.branch(one, `${where}.targets[${i}]`, own))
    return make({ branches, targets, strategy, where: `${where}.strategy`, ofClient: this.#ofClient })
  }

  #leaf(node: Json, where: string, { overrides, timeoutMs, retry, fallback }: Inherited): Branch {
    const found = this.#meant(node, where)
    const goesOn = (status: number) =>
      (fallback?.(status) ?? false) || (retry.attempts > 0 && retry.statuses.includes(status))
    // A retry is one more place of the same target, after the first: it takes a ticket like any other try.
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
          }) > MOST_LEAVES
        )
          throw new TypeError(`${where}: a route may have ${MOST_LEAVES} targets, retries included`)
        return name
      }),
    )
    return (present) => {
      const tiers = tries.map((names) => names.filter((name) => present.has(name)).map((use) => ({ use })))
      return tiers[0]!.length > 0 ? { fallback: tiers.map((loadbalance) => ({ loadbalance })) } : undefined
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
  readonly ofClient: boolean
}

const MODES: Record<string, (parts: Parts) => Branch> = {
  single: ({ branches }) => branches[0]!,
  fallback:
    ({ branches }) =>
    (present) => {
      const all = branches.map((branch) => branch(present)).filter((one) => one !== undefined)
      return all.length > 0 ? { fallback: all } : undefined
    },
  loadbalance: ({ branches, targets, where }) => {
    const weights = targets.map(({ weight = 1 }, i) =>
      number(weight, `${where.replace(/\.strategy$/, '')}.targets[${i}].weight`, 'a number of at least 0'),
    )
    return (present) => {
      const all = branches.flatMap((branch, i) => {
        const use = branch(present)
        return use === undefined ? [] : [{ use, weight: weights[i]! }]
      })
      return all.some(({ weight }) => weight > 0) ? { loadbalance: all } : undefined
    }
  },
  conditional: ({ branches, targets, strategy, where, ofClient }) => {
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
      if (ofClient && /"\$regex"/.test(JSON.stringify(one['query'])))
        throw new TypeError(`${at}.query: $regex is served in routes of the operator's configuration only`)
      compileCondition(one['query'] as Condition, `${at}.query`)
      return { when: one['query'] as PoolQuery, branch: named(one['then'], `${at}.then`) }
    })
    const otherwise = rest === undefined ? undefined : named(rest, `${where}.default`)
    return (present) => {
      const last = otherwise?.(present)
      return {
        conditional: choices.flatMap(({ when, branch }) => {
          const use = branch(present)
          return use === undefined ? [] : [{ when, use }]
        }),
        ...(last !== undefined && { otherwise: last }),
      }
    }
  },
}

function statusesOf(value: unknown, where: string): readonly number[] | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value) || value.some((one) => !Number.isInteger(one)))
    throw new TypeError(`${where} must be a list of statuses, got ${text(value)}`)
  return value as number[]
}

/** Of fallbacks within one another each may let a call go on. */
function fallbackOf(strategy: Json, where: string, above: Inherited): (status: number) => boolean {
  const statuses = statusesOf(strategy['on_status_codes'], `${where}.strategy.on_status_codes`)
  return (status) =>
    (statuses ? statuses.includes(status) : status >= 400) || (above.fallback?.(status) ?? false)
}

function retryOf(value: unknown, where: string): Retry | undefined {
  if (value === undefined) return undefined
  fields(value, where, ['attempts', 'on_status_codes', 'use_retry_after_header'])
  const { attempts = 0, on_status_codes: statuses } = value as Json
  number(attempts, `${where}.attempts`, 'a whole number of at least 0')
  return {
    attempts: Math.min(MOST_RETRIES, attempts as number),
    statuses: statusesOf(statuses, `${where}.on_status_codes`) ?? RETRY_ON,
  }
}

/** @throws TypeError that names the field which is wrong, or which is not served. */
export function compileRoute(
  config: unknown,
  targets: ReadonlyMap<string, Target>,
  where: string,
  ofClient: boolean,
): RoutePlan {
  const compiler = new Compiler(targets, ofClient)
  const retry = { attempts: 0, statuses: [] }
  const branch = compiler.branch(config as Json, where, {
    overrides: {},
    timeoutMs: undefined,
    retry,
    fallback: undefined,
  })
  return { leaves: compiler.leaves, strategyOf: branch }
}
