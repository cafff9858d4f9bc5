// An event emitter. An error thrown by a listener goes to `error` and has no other effect.

type Listener = (event: never) => void

/** The fields that an `error` event must have. */
export interface ListenerFailure {
  error: unknown
  where: string
}

export class Emitter<Events extends { error: ListenerFailure }, Source extends object> {
  readonly #source: Source
  readonly #listeners = new Map<keyof Events, Set<Listener>>()
  /** The events that have a listener. Other events are not even created. */
  readonly heard: Pick<ReadonlySet<keyof Events>, 'has'> = this.#listeners

  /** Each event also carries the fields of `source`. */
  constructor(source: Source) {
    this.#source = source
  }

  /** Returns a function that removes the listener. */
  on<E extends keyof Events>(name: E, listener: (event: Events[E] & Source) => void): () => void {
    const set = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, set)
    set.add(listener)
    return () => {
      set.delete(listener)
      if (set.size === 0 && this.#listeners.get(name) === set) this.#listeners.delete(name)
    }
  }

  emit<E extends keyof Events>(name: E, event: Events[E]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        ;(listener as (event: Events[E] & Source) => void)({ ...this.#source, ...event })
      } catch (error) {
        if (name !== 'error') this.emit('error', { error, where: `listener of '${String(name)}'` })
      }
    }
  }
}
