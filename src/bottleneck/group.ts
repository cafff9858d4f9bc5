import type { Bottleneck } from './limiter.ts'
import { Events } from './events.ts'
import { given } from './settings.ts'
import type { BottleneckOptions } from './types.ts'

const TIMEOUT_MS = 300_000

/** Options of a `Group`: the options of its limiters. */
export type GroupOptions = BottleneckOptions

/** A limiter of a group, with its key. */
export interface KeyedLimiter {
  /** Its key. */
  readonly key: string
  /** The limiter. */
  readonly limiter: Bottleneck
}

/** The events of a group. */
interface GroupListeners {
  created: (limiter: Bottleneck, key: string) => void
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as Bottleneck's own types say
  error: (error: any) => void
}

/** Limiters with the same options, one per key. Unused limiters are deleted after a while. */
export class Group {
  /** The group's id is the prefix of its limiters' ids. */
  readonly id: string
  /** The limiters, by key. */
  readonly instances = Object.create(null) as Record<string, Bottleneck> // a key may be `constructor`
  /** A limiter that has not been used for this many ms is deleted. */
  timeout: number
  #options: GroupOptions
  readonly #make: (options: BottleneckOptions) => Bottleneck
  readonly #events: Events<this>
  #cleanup: ReturnType<typeof setInterval> | undefined
  /** Listens to `created` (the limiter and its key) or `error`. */
  declare on: <E extends keyof GroupListeners>(name: E, listener: GroupListeners[E]) => this
  /** Listens to the next `created` or `error`. */
  declare once: <E extends keyof GroupListeners>(name: E, listener: GroupListeners[E]) => this
  /** Removes the listeners of an event, or all. */
  declare removeAllListeners: (name?: string) => void

  /** @throws BottleneckError when an option is wrong. */
  constructor(options: GroupOptions, make: (options: BottleneckOptions) => Bottleneck) {
    this.#options = options
    this.#make = make
    this.id = options.id ?? 'group-key'
    this.timeout = given(options).timeout ?? TIMEOUT_MS
    this.#events = new Events(this)
    this.#startCleanup()
  }

  /** The limiter of this key. It is created on first use. */
  key(key = ''): Bottleneck {
    const known = this.instances[key]
    if (known) return known
    const limiter = this.#make({ ...this.#options, id: `${this.id}-${key}`, timeout: this.timeout })
    this.instances[key] = limiter
    void this.#events.trigger('created', limiter, key)
    return limiter
  }

  /** Deletes the limiter of this key. Resolves to whether there was one. */
  async deleteKey(key = ''): Promise<boolean> {
    const limiter = this.instances[key]
    if (!limiter) return false
    Reflect.deleteProperty(this.instances, key)
    await limiter.disconnect()
    return true
  }

  /** All limiters, with their keys. */
  limiters(): KeyedLimiter[] {
    return Object.entries(this.instances).map(([key, limiter]) => ({ key, limiter }))
  }

  /** The keys of all limiters. */
  keys(): string[] {
    return Object.keys(this.instances)
  }

  /** The keys of this process. Keys of other processes are unknown. */
  clusterKeys(): Promise<string[]> {
    return Promise.resolve(this.keys())
  }

  /** Changes the options of limiters created from now on. */
  updateSettings(options: Partial<GroupOptions> = {}): void {
    const { timeout } = given(options)
    this.#options = { ...this.#options, ...options }
    if (timeout === undefined) return
    this.timeout = timeout
    this.#startCleanup()
  }

  /** Disconnects all limiters. */
  async disconnect(flush = true): Promise<void> {
    clearInterval(this.#cleanup)
    await Promise.all(Object.values(this.instances).map((limiter) => limiter.disconnect(flush)))
  }

  #startCleanup(): void {
    clearInterval(this.#cleanup)
    const clean = () => {
      for (const { key, limiter } of this.limiters())
        if (limiter.idleMs() > this.timeout)
          this.deleteKey(key).catch((error) => void this.#events.trigger('error', error))
    }
    this.#cleanup = setInterval(clean, this.timeout / 2)
    // A timer is not an object in every runtime. If it is, it must not keep the process alive.
    ;(this.#cleanup as Partial<NodeJS.Timeout>).unref?.()
  }
}
