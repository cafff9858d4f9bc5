// Who may answer a call: tiers of targets with their weights. When one answers is the queue's business.
//
// A strategy is a tree. A fallback sets the tiers of its branches one after the other; a balance lays them side by side,
// and multiplies weights; a condition takes one branch.

import { fields, number, text } from '../lib/validate.ts'
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

/** Targets by their index, with their weights. */
export type TargetTier = ReadonlyMap<number, number>
export type TargetPlan = (call: PoolCall) => readonly TargetTier[]

interface Names {
  readonly targets: ReadonlyMap<string, number>
  readonly strategies: Readonly<Record<string, Strategy>>
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
    return (call) => plans.flatMap((plan) => plan(call))
  }
  if ('conditional' in strategy) {
    fields(strategy, where, ['conditional', 'otherwise'])
    const choices = list(strategy.conditional, `${where}.conditional`).map(({ when, use }, i) => ({
      test: compileCondition(when, `${where}.conditional[${i}].when`),
      plan: branch(use, `conditional[${i}].use`),
    }))
    const { otherwise } = strategy
    const rest = otherwise === undefined ? undefined : branch(otherwise, 'otherwise')
    return (call) => (choices.find(({ test }) => test(call))?.plan ?? rest)?.(call) ?? []
  }
  fields(strategy, where, ['loadbalance'])
  const shares = list(strategy.loadbalance, `${where}.loadbalance`).map(({ use, weight = 1 }, i) => ({
    weight: number(weight, `${where}.loadbalance[${i}].weight`, 'a number of at least 0'),
    plan: branch(use, `loadbalance[${i}].use`),
  }))
  if (shares.every(({ weight }) => weight === 0))
    throw new TypeError(`${where}.loadbalance: at least one weight must be more than 0`)
  return (call) => balanced(shares.map(({ weight, plan }) => ({ weight, tiers: plan(call) })))
}

function compileName(
  name: string,
  names: Names,
  where: string,
  path: readonly (string | object)[],
): TargetPlan {
  const index = names.targets.get(name)
  if (index !== undefined) {
    const tiers = [new Map([[index, 1]])]
    return () => tiers
  }
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

function balanced(shares: readonly { weight: number; tiers: readonly TargetTier[] }[]): TargetTier[] {
  const all: Map<number, number>[] = []
  for (const { weight, tiers } of shares) {
    if (weight === 0) continue
    for (const [i, tier] of tiers.entries()) {
      const into = (all[i] ??= new Map())
      for (const [target, own] of tier) into.set(target, (into.get(target) ?? 0) + weight * own)
    }
  }
  return all
}

function list<T>(value: readonly T[], name: string): readonly T[] {
  if (!Array.isArray(value) || value.length === 0)
    throw new TypeError(`${name} must be an array with at least one entry, got ${text(value)}`)
  return value
}
