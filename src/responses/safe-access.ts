/**
 * Reads foreign values defensively.
 *
 * Errors and results come from unknown code. A getter that throws, a revoked proxy, a cycle or a class that throws
 * when inspected must not turn a provider's answer into an error of the limiter.
 */

export function guard<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

export function get(value: unknown, key: PropertyKey): unknown {
  return guard(() => (value as Record<PropertyKey, unknown> | null | undefined)?.[key])
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Whether the value is neither an array nor an instance of a class, whose getters may have side effects. */
export function isPlain(value: object): boolean {
  const proto: unknown = Object.getPrototypeOf(value)
  return !proto || proto === Object.prototype
}

/** Parses JSON, even with words before it ("got status: 429. {...}"). */
export function parseJson(text: string): unknown {
  return guard((): unknown => JSON.parse(text.slice(text.search(/\[?\{/))))
}

/** A longer text is not the body of an error, and parsing it would take long. */
const MAX_TEXT = 100_000

/**
 * The value and everything nested in it under the given keys, also as JSON text, outermost first. The bounds far
 * exceed what any answer needs.
 */
export function reach(value: unknown, keys: readonly string[], found = new Set<object>()): object[] {
  const node = typeof value === 'string' ? value.length < MAX_TEXT && parseJson(value) : value
  if (isObject(node) && !found.has(node) && found.size < 100) {
    found.add(node)
    const items = guard(() => Array.isArray(node) && Object.keys(node).slice(0, 20))
    for (const key of items || keys) reach(get(node, key), keys, found)
  }
  return [...found]
}

type Known<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** The fields that are not undefined. */
export function known<T extends object>(fields: T): Known<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Known<T>
}
