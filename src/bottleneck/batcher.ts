import { Events } from './events.ts'
import { numberOf } from './settings.ts'

/** Options of a `Batcher`. */
export interface BatcherOptions {
  /**
   * The longest time in ms that the first of a batch waits.
   * @default any time
   */
  readonly maxTime?: number | null | undefined
  /**
   * How many make a batch.
   * @default any number
   */
  readonly maxSize?: number | null | undefined
}

/** Collects single things into batches, by number and by time. */
export class Batcher<T = unknown> {
  readonly #maxTime: number | undefined
  readonly #maxSize: number | undefined
  readonly #events: Events<this>
  #batch: T[] = []
  #flushed!: Promise<void>
  #flush!: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Listens to `batch` (the things) or `error`. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  declare on: (name: 'batch' | 'error' | (string & {}), listener: (...args: any[]) => void) => this
  /** Listens to the next `batch` or `error`. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  declare once: (name: 'batch' | 'error' | (string & {}), listener: (...args: any[]) => void) => this
  /** Removes the listeners of an event, or all. */
  declare removeAllListeners: (name?: string) => void

  /** @throws BottleneckError when an option is wrong. */
  constructor({ maxTime, maxSize }: BatcherOptions = {}) {
    this.#maxTime = numberOf('maxTime', maxTime)
    this.#maxSize = numberOf('maxSize', maxSize)
    this.#events = new Events(this)
    this.#begin()
  }

  /** Adds a thing. Resolves when its batch is complete. */
  add(thing: T): Promise<void> {
    const { length } = this.#batch
    const flushed = this.#flushed
    this.#batch.push(thing)
    if (length + 1 === this.#maxSize) this.#complete()
    else if (length === 0 && this.#maxTime !== undefined)
      this.#timer = setTimeout(() => this.#complete(), this.#maxTime)
    return flushed
  }

  #begin(): void {
    this.#batch = []
    this.#flushed = new Promise((resolve) => {
      this.#flush = resolve
    })
  }

  #complete(): void {
    clearTimeout(this.#timer)
    this.#flush()
    void this.#events.trigger('batch', this.#batch)
    this.#begin()
  }
}
