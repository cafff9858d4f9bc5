// Conditions of a strategy: a predicate over the call, or a query object that is checked when the pool is created.

import { text } from '../lib/validate.ts'
import type { PoolCall } from './pool-call.ts'

/** A predicate, or a query such as `{ model: { $in: ['gpt-5'] }, $or: [{ tenant: 'a' }, { 'user.plan': 'pro' }] }`. */
export type Condition = ((call: PoolCall) => boolean) | PoolQuery

/** Each field is a path into the call, with a required value or with operators. All fields must match. */
export interface PoolQuery {
  readonly [path: string]: unknown
}

type Test = (value: unknown) => boolean

const ordered = (compare: (a: never, b: never) => boolean) => (bound: unknown) => {
  if (typeof bound !== 'number' && typeof bound !== 'string')
    throw new TypeError(`an order needs a number or a string, got ${text(bound)}`)
  return (value: unknown) => typeof value === typeof bound && compare(value as never, bound as never)
}
const listed = (bound: unknown): readonly unknown[] => {
  if (!Array.isArray(bound)) throw new TypeError(`$in and $nin need an array, got ${text(bound)}`)
  return bound
}

const OPERATORS: Record<string, (bound: unknown) => Test> = {
  $eq: (bound) => (value) => value === bound,
  $ne: (bound) => (value) => value !== bound,
  $gt: ordered((a, b) => a > b),
  $gte: ordered((a, b) => a >= b),
  $lt: ordered((a, b) => a < b),
  $lte: ordered((a, b) => a <= b),
  $in: (bound) => {
    const all = listed(bound)
    return (value) => all.includes(value)
  },
  $nin: (bound) => {
    const all = listed(bound)
    return (value) => !all.includes(value)
  },
  $regex: (bound) => {
    if (typeof bound !== 'string' && !(bound instanceof RegExp))
      throw new TypeError(`$regex needs a pattern, got ${text(bound)}`)
    // Without the flags g and y, which make a pattern remember its last match.
    const pattern =
      typeof bound === 'string'
        ? new RegExp(bound)
        : new RegExp(bound.source, bound.flags.replace(/[gy]/g, ''))
    return (value) => typeof value === 'string' && pattern.test(value)
  },
}

export function compileCondition(
  condition: Condition,
  name: string,
  above: readonly Condition[] = [],
): (call: PoolCall) => boolean {
  if (typeof condition === 'function') return condition
  if (typeof condition !== 'object' || condition === null || Array.isArray(condition))
    throw new TypeError(`${name} must be a function or a query object, got ${text(condition)}`)
  if (above.includes(condition)) throw new TypeError(`${name}: a query must not lead back to itself`)
  const way = [...above, condition]
  const tests = Object.entries(condition).map(([key, value]) =>
    compileField(key, value, `${name}.${key}`, way),
  )
  return (call) => tests.every((test) => test(call))
}

function compileField(
  key: string,
  value: unknown,
  name: string,
  above: readonly Condition[],
): (call: PoolCall) => boolean {
  if (key === '$and' || key === '$or') {
    if (!Array.isArray(value) || value.length === 0)
      throw new TypeError(`${name} must be an array of queries, got ${text(value)}`)
    const tests = value.map((query: Condition, i) => compileCondition(query, `${name}[${i}]`, above))
    return key === '$and'
      ? (call) => tests.every((test) => test(call))
      : (call) => tests.some((test) => test(call))
  }
  if (key.startsWith('$')) throw new TypeError(`${name} is no operator between fields; known: $and, $or`)
  const test = compileTest(value, name)
  const path = key.split('.')
  return (call) => test(path.reduce<unknown>((at, step) => Object(at)[step], call))
}

function compileTest(value: unknown, name: string): Test {
  if (typeof value !== 'object' || value === null) return (found) => found === value
  const tests = Object.entries(value).map(([operator, bound]) => {
    const make = Object.hasOwn(OPERATORS, operator) ? OPERATORS[operator] : undefined
    if (!make)
      throw new TypeError(
        `${name} has no operator ${text(operator)}; known: ${Object.keys(OPERATORS).join(', ')}`,
      )
    try {
      return make(bound)
    } catch (error) {
      throw new TypeError(`${name}.${operator}: ${(error as Error).message}`, { cause: error })
    }
  })
  if (tests.length === 0) throw new TypeError(`${name} must be a value or have an operator, got {}`)
  return (found) => tests.every((test) => test(found))
}
