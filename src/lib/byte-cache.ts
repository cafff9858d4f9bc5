// A cache of values with an expiry time and a bounded total size in bytes.

interface Kept<T> {
  readonly value: T
  readonly bytes: number
  readonly until: number
}

/** Removes the least recently used values when the total exceeds `maxBytes`. Times are ms of any one clock. */
export class ByteCache<T> {
  /** The total size of the kept values. */
  bytes = 0
  readonly #maxBytes: number
  /** The least recently used first. */
  readonly #kept = new Map<string, Kept<T>>()

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get(key: string, now: number): T | undefined {
    const found = this.#kept.get(key)
    if (!found) return undefined
    this.#kept.delete(key)
    if (found.until <= now) {
      this.bytes -= found.bytes
      return undefined
    }
    this.#kept.set(key, found)
    return found.value
  }

  /** A value larger than the whole cache is not kept. */
  set(key: string, value: T, bytes: number, until: number): void {
    this.#drop(key)
    if (bytes > this.#maxBytes) return
    this.#kept.set(key, { value, bytes, until })
    this.bytes += bytes
    for (const oldest of this.#kept.keys()) {
      if (this.bytes <= this.#maxBytes) break
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    this.bytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }
}
