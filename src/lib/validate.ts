// One voice for bad input: a TypeError that names the option, the value, and what is allowed. Every folder may import
// this file, and it imports only this folder.

import { didYouMean, type Synonyms } from './suggest.ts'

/** A value as people would write it, short. Of an object its names alone: a client's fields hold keys and passwords. */
export function text(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 80)}'`
  if (typeof value === 'function') return 'a function'
  try {
    if (typeof value !== 'object' || value === null) return String(value)
    return Array.isArray(value)
      ? `an array of ${value.length}`
      : `{${Object.keys(value).slice(0, 5).join(', ')}}`
  } catch {
    return typeof value
  }
}

const RANGES = {
  'a finite number': () => true,
  'a number above 0': (n: number) => n > 0,
  'a number of at least 0': (n: number) => n >= 0,
  'a number of at least 1': (n: number) => n >= 1,
  'a number from 0 to 1': (n: number) => n >= 0 && n <= 1,
  'a number above 0, at most 1': (n: number) => n > 0 && n <= 1,
  'a whole number of at least 0': (n: number) => n >= 0 && Number.isInteger(n),
  'a whole number of at least 1': (n: number) => n >= 1 && Number.isInteger(n),
}

/** What came in the place of a number: most often a text of `process.env`, or what an unset one becomes. */
export function notNumber(value: unknown): string {
  if (typeof value === 'string') return `the string ${text(value)}`
  return Number.isNaN(value) ? 'NaN (is an environment variable unset?)' : text(value)
}

/** A finite number in a range; `Infinity` is no limit at all, and leaving the option out says so better. */
export function number(value: unknown, name: string, range: keyof typeof RANGES): number {
  if (typeof value === 'number' && Number.isFinite(value) && RANGES[range](value)) return value
  throw new TypeError(`${name} must be ${range}, got ${notNumber(value)}`)
}

export function choice(value: unknown, name: string, allowed: readonly unknown[], synonyms?: Synonyms): void {
  if (allowed.includes(value)) return
  const names = allowed.filter((one) => typeof one === 'string')
  const hint = didYouMean(value, names, synonyms)
  throw new TypeError(
    hint
      ? `there is no ${name} ${text(value)}${hint}; known: ${names.join(', ')}`
      : `${name} must be ${allowed.map(text).join(' or ')}, got ${text(value)}`,
  )
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

/** An object that has no field but these. */
export function fields(value: unknown, name: string, known: readonly string[], synonyms?: Synonyms): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(`${name} takes an object of options, got ${text(value)}; known: ${known.join(', ')}`)
  for (const key in value) {
    if (known.includes(key)) continue
    const hint = misplaced(value, known, didYouMean(key, known, synonyms))
    throw new TypeError(`${name} has no option ${text(key)}${hint}; known: ${known.join(', ')}`)
  }
}

/** What an option may be: a number of a range, one of a list, options within it, or what a check lets pass. */
export type OptionRule =
  | keyof typeof RANGES
  | readonly unknown[]
  | { readonly [option: string]: OptionRule }
  | ((value: never, name: string) => unknown)

/** For an option that is checked elsewhere, or may be anything. */
export const anything = (): void => {}

/** Throws for an option that is unknown, or not what its rule says. An `undefined` option counts as missing. */
export function checkOptions(
  options: unknown,
  name: string,
  rules: Readonly<Record<string, OptionRule>>,
  synonyms?: Synonyms,
  prefix = `${name}.`,
): void {
  // Some calls have options of their own: so nothing is made before something is wrong.
  const given = isObject(options) && !Array.isArray(options) ? options : { '': options }
  for (const key in given) {
    if (!Object.hasOwn(rules, key)) return fields(options, name, Object.keys(rules), synonyms)
    const value = given[key]
    if (value === undefined) continue
    const rule = rules[key]!
    const path = prefix + key
    if (typeof rule === 'string') number(value, path, rule)
    else if (typeof rule === 'function') rule(value as never, path)
    else if (Array.isArray(rule)) choice(value, path, rule)
    else checkOptions(value, path, rule as Readonly<Record<string, OptionRule>>)
  }
}

/** A signal, or an instance of any class, in the place of options was meant for another place. */
function misplaced(value: object, known: readonly string[], hint: string): string {
  if ('aborted' in value && known.includes('signal')) return ' (did you mean { signal }?)'
  const kind = hint ? undefined : kindOf(value)
  return kind ? ` (it is an instance of ${kind}: are the arguments in the right order?)` : hint
}

/** The class of an object that is no plain one. */
export function kindOf(value: unknown): string | undefined {
  const kind = (Object(value) as object).constructor?.name
  return typeof value === 'object' && kind !== 'Object' ? kind : undefined
}

/** The options that are given: one that is `undefined` is not. */
export const defined = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T

/** Runs the check, if there is a value. */
export function given<T>(value: T | undefined, check: (value: T) => unknown): void {
  if (value !== undefined) check(value)
}

/** `other`: the next argument; if that is the function, the two were swapped. */
export function callable(value: unknown, name: string, other?: unknown): void {
  if (typeof value === 'function') return
  const hint = typeof other === 'function' ? ' (are the arguments exchanged?)' : ''
  throw new TypeError(`${name} must be a function, got ${text(value)}${hint}`)
}
