// Events as in Bottleneck: listeners are called synchronously, may be async, and the first returned value is the
// answer.

type Listener = (...args: never[]) => unknown

/** Gives an object `on`, `once` and `removeAllListeners`. */
export class Events<T extends object = object> {
  readonly #instance: T
  #listeners = new Map<string, { readonly call: Listener; readonly once: boolean }[]>()

  /** @param instance The object that gets the methods. It must not have them yet. */
  constructor(instance: T) {
    this.#instance = instance
    const listens = ['on', 'once', 'removeAllListeners'].some((name) => name in instance)
    if (listens) throw new Error('this object has listeners already')
    Object.assign(instance, {
      on: (name: string, listener: Listener) => this.listen(name, listener, false),
      once: (name: string, listener: Listener) => this.listen(name, listener, true),
      removeAllListeners: (name?: string) => this.forget(name),
    })
  }

  /** Whether the event has listeners. */
  heard(name: string): boolean {
    return this.#listeners.has(name) || this.#listeners.has('debug')
  }

  /** Adds a listener. Returns the object, for chaining. */
  listen(name: string, listener: Listener, once: boolean): T {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), { call: listener, once }])
    return this.#instance
  }

  /** Removes the listeners of an event, or all. */
  forget(name?: string | null): void {
    if (name === undefined || name === null) this.#listeners.clear()
    else this.#listeners.delete(name)
  }

  /** The number of listeners of an event. */
  listenerCount(name: string): number {
    return this.#listeners.get(name)?.length ?? 0
  }

  /** Emits an event. Resolves with the first value that a listener returned, when all have finished. */
  async trigger(name: string, ...args: unknown[]): Promise<unknown> {
    if (name !== 'debug' && this.#listeners.has('debug'))
      void this.trigger('debug', `Event triggered: ${name}`, args)
    const listeners = this.#listeners.get(name)
    if (!listeners) return undefined
    const lasting = listeners.filter(({ once }) => !once)
    if (lasting.length > 0) this.#listeners.set(name, lasting)
    else this.#listeners.delete(name)
    const answers = await Promise.all(listeners.map(({ call }) => this.#ask(call, args, name)))
    return answers.find((answer) => answer !== undefined && answer !== null)
  }

  async #ask(listener: Listener, args: unknown[], name: string): Promise<unknown> {
    try {
      return await (typeof listener === 'function' ? listener(...(args as never[])) : undefined)
    } catch (error) {
      // Failing listeners of these events would be called endlessly for their own errors.
      if (name !== 'error' && name !== 'debug') void this.trigger('error', error)
      return undefined
    }
  }
}
