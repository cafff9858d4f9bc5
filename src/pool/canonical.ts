// A string that is the same for equal values, whatever the order of their fields.

/** JSON with sorted fields. Undefined: some nested value cannot be written as JSON, so it cannot be compared. */
export function canonical(value: unknown): string | undefined {
  try {
    return JSON.stringify(value, (_, part: unknown) => {
      if (
        typeof part === 'function' ||
        typeof part === 'bigint' ||
        ArrayBuffer.isView(part) ||
        part instanceof Map
      )
        throw new TypeError('not JSON')
      if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
      if (Object.getPrototypeOf(part) !== Object.prototype) throw new TypeError('not JSON')
      return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
    })
  } catch {
    return undefined
  }
}
