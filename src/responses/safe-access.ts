/**
 * How foreign values are read: as if every one were hostile.
 *
 * Errors and results come from code we do not know. A getter that throws, a revoked proxy, a cycle or a
 * class that throws when it is inspected must not turn a provider's answer into an error of the limiter.
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

/** Neither an instance of a class, whose getters may do things, nor an array. */
export function isPlain(value: object): boolean {
  const proto: unknown = Object.getPrototypeOf(value)
  return !proto || proto === Object.prototype
}

/** The value that JSON text holds, even with words before it ("got status: 429. {...}"). */
export function parseJson(text: string): unknown {
  return guard((): unknown => JSON.parse(text.slice(text.search(/\[?\{/))))
}

/** A text longer than this is no error's body, and parsing it would take long. */
const MAX_TEXT = 100_000

/**
 * The value and all that it encloses by the given keys, also as JSON text, outermost first. The bounds are
 * far above what any answer needs.
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

/** Only the fields that are known: one that is undefined is left out. */
export function known<T extends object>(fields: T): Known<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Known<T>
}
