// Checks options. Errors are TypeErrors that name the option, the value, and what is allowed. Every folder may
// import this file, and it imports only from its own folder.

import { didYouMean, type Synonyms } from './suggest.ts'

/**
 * A short description of a value for messages. For an object, only its keys: a client's fields contain API keys
 * and passwords.
 */
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

/**
 * Describes a value given in place of a number. Often it is a string from `process.env`, or NaN from an unset
 * variable.
 */
export function notNumber(value: unknown): string {
  if (typeof value === 'string') return `the string ${text(value)}`
  return Number.isNaN(value) ? 'NaN (is an environment variable unset?)' : text(value)
}

/** Checks for a finite number in a range. `Infinity` is rejected, because leaving the option out means no limit. */
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

/** Checks that the value is an object with only known fields. */
export function fields(value: unknown, name: string, known: readonly string[], synonyms?: Synonyms): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(`${name} takes an object of options, got ${text(value)}; known: ${known.join(', ')}`)
  for (const key in value) {
    if (known.includes(key)) continue
    const hint = misplaced(value, known, didYouMean(key, known, synonyms))
    throw new TypeError(`${name} has no option ${text(key)}${hint}; known: ${known.join(', ')}`)
  }
}

/** The rule for an option: a range of numbers, a list of values, nested options, or a check that may throw. */
export type OptionRule =
  | keyof typeof RANGES
  | readonly unknown[]
  | { readonly [option: string]: OptionRule }
  | ((value: never, name: string) => unknown)

/** For an option that is checked elsewhere, or may be anything. */
export const anything = (): void => {}

/** Throws for an unknown option, or one that breaks its rule. An `undefined` option counts as missing. */
export function checkOptions(
  options: unknown,
  name: string,
  rules: Readonly<Record<string, OptionRule>>,
  synonyms?: Synonyms,
  prefix = `${name}.`,
): void {
  // Runs for each call that has options, so nothing is allocated unless an option is wrong.
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

/** A hint for a signal or a class instance that was passed in place of options. */
function misplaced(value: object, known: readonly string[], hint: string): string {
  if ('aborted' in value && known.includes('signal')) return ' (did you mean { signal }?)'
  const kind = hint ? undefined : kindOf(value)
  return kind ? ` (it is an instance of ${kind}: are the arguments in the right order?)` : hint
}

/** The class name of an object that is not a plain object. */
export function kindOf(value: unknown): string | undefined {
  const kind = (Object(value) as object).constructor?.name
  return typeof value === 'object' && kind !== 'Object' ? kind : undefined
}

/** The options without `undefined` values. */
export const defined = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T

/** Runs the check if there is a value. */
export function given<T>(value: T | undefined, check: (value: T) => unknown): void {
  if (value !== undefined) check(value)
}

/** Checks for a function. `other` is the next argument: if that is a function, the two were probably swapped. */
export function callable(value: unknown, name: string, other?: unknown): void {
  if (typeof value === 'function') return
  const hint = typeof other === 'function' ? ' (are the arguments swapped?)' : ''
  throw new TypeError(`${name} must be a function, got ${text(value)}${hint}`)
}
