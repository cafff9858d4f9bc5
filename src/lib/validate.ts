// One voice for bad input: a TypeError that names the option, the value, and what is allowed. Every folder may import
// this file, and it imports none.

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
  'more than 0': (n: number) => n > 0,
  'at least 0': (n: number) => n >= 0,
  'at least 1': (n: number) => n >= 1,
  'from 0 to 1': (n: number) => n >= 0 && n <= 1,
  'a whole number of at least 0': (n: number) => n >= 0 && Number.isInteger(n),
  'a whole number of at least 1': (n: number) => n >= 1 && Number.isInteger(n),
}

/** A finite number in a range; `Infinity` is no limit at all, and leaving the option out says so better. */
export function number(value: unknown, name: string, range: keyof typeof RANGES, unit = 'a number'): number {
  if (typeof value === 'number' && Number.isFinite(value) && RANGES[range](value)) return value
  throw new TypeError(`${name} must be ${range} (${unit}), got ${text(value)}`)
}

export function choice(value: unknown, name: string, allowed: readonly unknown[]): void {
  if (!allowed.includes(value)) {
    throw new TypeError(`${name} must be ${allowed.map(text).join(' or ')}, got ${text(value)}`)
  }
}

/** An object that has no field but these. */
export function fields(value: unknown, name: string, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`${name} takes an object of options, got ${text(value)}; known: ${known.join(', ')}`)
  for (const key in value) {
    if (!known.includes(key))
      throw new TypeError(`${name} has no option ${text(key)}; known: ${known.join(', ')}`)
  }
}

/** Runs the check, if there is a value. */
export function given<T>(value: T | undefined, check: (value: T) => unknown): void {
  if (value !== undefined) check(value)
}

export function callable(value: unknown, name: string): void {
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function, got ${text(value)}`)
}
