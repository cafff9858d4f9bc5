// Which targets may answer a call: tiers of targets with weights. The queue decides when.
//
// A strategy is a tree. A fallback puts the tiers of its branches one after the other. A balance puts them side by
// side and multiplies the weights. A condition selects one branch. A tree without conditions is evaluated once.

import { fields, isObject, number, text } from '../lib/validate.ts'
import type { PoolCall } from './pool-call.ts'
import { compileCondition, type Condition } from './query.ts'

/** The name of a target or of another strategy, or a strategy itself. */
export type Strategy =
  | string
  | { readonly loadbalance: readonly { readonly use: Strategy; readonly weight?: number }[] }
  | { readonly fallback: readonly Strategy[] }
  | {
      readonly conditional: readonly { readonly when: Condition; readonly use: Strategy }[]
      readonly otherwise?: Strategy
    }

/** Targets by index, in order, and the weight of each, above 0. */
export interface TargetTier {
  readonly indices: readonly number[]
  readonly weights: readonly number[]
}
type Tiers = readonly TargetTier[]
export type TargetPlan = Tiers | ((call: PoolCall) => Tiers)

interface Names {
  readonly targets: ReadonlyMap<string, number>
  readonly strategies: Readonly<Record<string, Strategy>>
}

export const tiersOf = (plan: TargetPlan, call: PoolCall): Tiers =>
  typeof plan === 'function' ? plan(call) : plan

export const only = (index: number): TargetTier => ({ indices: [index], weights: [1] })

export function weightOf(tiers: Tiers, index: number): number {
  for (const { indices, weights } of tiers) {
    const i = indices.indexOf(index)
    if (i >= 0) return weights[i]!
  }
  return 1
}

export function compileStrategy(
  strategy: Strategy,
  names: Names,
  where = 'strategy',
  path: readonly (string | object)[] = [],
): TargetPlan {
  if (typeof strategy === 'string') return compileName(strategy, names, where, path)
  if (path.includes(strategy)) throw new TypeError(`${where}: a strategy must not lead back to itself`)
  if (typeof strategy !== 'object' || strategy === null)
    throw new TypeError(
      `${where} must be a name, { loadbalance }, { fallback } or { conditional }, got ${text(strategy)}`,
    )
  const branch = (use: Strategy, at: string) =>
    compileStrategy(use, names, `${where}.${at}`, [...path, strategy])
  if ('fallback' in strategy) {
    fields(strategy, where, ['fallback'])
    const plans = list(strategy.fallback, `${where}.fallback`).map((use, i) => branch(use, `fallback[${i}]`))
    return combined(plans, (all) => all.flat())
  }
  if ('conditional' in strategy) {
    fields(strategy, where, ['conditional', 'otherwise'])
    const choices = list(strategy.conditional, `${where}.conditional`).map(({ when, use }, i) => ({
      test: compileCondition(when, `${where}.conditional[${i}].when`),
      plan: branch(use, `conditional[${i}].use`),
    }))
    const { otherwise } = strategy
    const rest = otherwise === undefined ? [] : branch(otherwise, 'otherwise')
    return (call) => tiersOf(choices.find(({ test }) => test(call))?.plan ?? rest, call)
  }
  fields(strategy, where, ['loadbalance'])
  const shares = list(strategy.loadbalance, `${where}.loadbalance`).map(({ use, weight = 1 }, i) => ({
    weight: number(weight, `${where}.loadbalance[${i}].weight`, 'a number of at least 0'),
    plan: branch(use, `loadbalance[${i}].use`),
  }))
  if (shares.every(({ weight }) => weight === 0))
    throw new TypeError(`${where}.loadbalance: at least one weight must be more than 0`)
  const weights = shares.map(({ weight }) => weight)
  return combined(
    shares.map(({ plan }) => plan),
    (all) => balanced(all, weights),
  )
}

function combined(plans: readonly TargetPlan[], combine: (all: readonly Tiers[]) => Tiers): TargetPlan {
  const depends = plans.some((plan) => typeof plan === 'function')
  const of = (call: PoolCall) => combine(plans.map((plan) => tiersOf(plan, call)))
  return depends ? of : of({})
}

function compileName(
  name: string,
  names: Names,
  where: string,
  path: readonly (string | object)[],
): TargetPlan {
  const index = names.targets.get(name)
  if (index !== undefined) return [only(index)]
  const way = [...path, name]
  if (path.includes(name)) {
    const steps = way.filter((step) => typeof step === 'string').join(' → ')
    throw new TypeError(`${where}: strategies must not lead back to themselves: ${steps}`)
  }
  const found = Object.hasOwn(names.strategies, name) ? names.strategies[name] : undefined
  if (found === undefined) {
    const known = [...names.targets.keys(), ...Object.keys(names.strategies)].join(', ')
    throw new TypeError(`${where} names ${text(name)}, which is no target and no strategy; known: ${known}`)
  }
  return compileStrategy(found, names, `strategies.${name}`, way)
}

function balanced(plans: readonly Tiers[], shares: readonly number[]): Tiers {
  const all: Map<number, number>[] = []
  for (const [i, tiers] of plans.entries()) {
    const share = shares[i]!
    if (share === 0) continue
    for (const [depth, { indices, weights }] of tiers.entries()) {
      const into = (all[depth] ??= new Map())
      for (const [at, index] of indices.entries())
        into.set(index, (into.get(index) ?? 0) + share * weights[at]!)
    }
  }
  return all.map((tier) => {
    const inOrder = [...tier].sort(([a], [b]) => a - b)
    return { indices: inOrder.map(([index]) => index), weights: inOrder.map(([, weight]) => weight) }
  })
}

function list<T>(value: readonly T[], name: string): readonly T[] {
  if (!Array.isArray(value) || value.length === 0)
    throw new TypeError(`${name} must be an array with at least one entry, got ${text(value)}`)
  const wrong = value.findIndex((one) => typeof one !== 'string' && !isObject(one))
  if (wrong >= 0) throw new TypeError(`${name}[${wrong}] must be an object, got ${text(value[wrong])}`)
  return value
}
