import { Events } from './events.ts'
import { numberOf } from './settings.ts'

/** Options of a `Batcher`. */
export interface BatcherOptions {
  /**
   * The maximum time in ms that the first item of a batch waits.
   * @default no bound
   */
  readonly maxTime?: number | null | undefined
  /**
   * The number of items in a batch.
   * @default no bound
   */
  readonly maxSize?: number | null | undefined
}

/** Collects items into batches, by number and by time. */
export class Batcher<T = unknown> {
  readonly #maxTime: number | undefined
  readonly #maxSize: number | undefined
  readonly #events: Events<this>
  #batch: T[] = []
  #flushed!: Promise<void>
  #flush!: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Listens to `batch` (the items) or `error`. */
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

  /** Adds an item. Resolves when its batch is complete. */
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
