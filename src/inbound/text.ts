// One voice for bad input: a TypeError that names the option, the value, and what is allowed.

/** A value as an error quotes it. */
export function text(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 80)}'`
  if (typeof value === 'function') return 'a function'
  try {
    return (typeof value === 'object' && JSON.stringify(value)?.slice(0, 80)) || String(value)
  } catch {
    return typeof value
  }
}

/** An object that has no field but these. */
export function fields(value: unknown, name: string, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`${name} must be an object, got ${text(value)}`)
  for (const key in value) {
    if (!known.includes(key))
      throw new TypeError(`${name} has no option ${text(key)}; known: ${known.join(', ')}`)
  }
}
