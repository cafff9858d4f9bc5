// The queues in front of a limiter, such as those of pools. Their calls wait for its tickets, but only the first one
// has a place in its own queue, as a standby.

/** A queue in front of a limiter. */
interface FrontQueue {
  /**
   * How many of its calls wait for this limiter. A call that waits for several limiters counts at one of them.
   * Undefined: no call wants this limiter.
   */
  readonly waiting: number | undefined
  /** Whether its standby is in the limiter's own queue, where it is counted as well. */
  readonly standsBy: boolean
}

export class FrontQueues {
  readonly #parent: FrontQueues | undefined
  readonly #queues = new Set<FrontQueue>()
  readonly #listeners = new Set<() => void>()

  /** `parent`: those of the limiter above, whose tickets the calls wait for as well. */
  constructor(parent: FrontQueues | undefined) {
    this.#parent = parent
  }

  /** A call waits in this queue. */
  add(queue: FrontQueue): void {
    this.#queues.add(queue)
    for (const listener of [...this.#listeners]) listener()
    this.#parent?.add(queue)
  }

  /** No call waits in this queue. */
  remove(queue: FrontQueue): void {
    this.#queues.delete(queue)
    this.#parent?.remove(queue)
  }

  /** Listens for calls that wait. Returns a function that removes the listener. */
  on(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** The calls that wait in these queues. Undefined: none wants this limiter. */
  get waiting(): number | undefined {
    let waiting: number | undefined
    for (const queue of this.#queues) {
      if (queue.waiting !== undefined) waiting = (waiting ?? 0) + queue.waiting
    }
    return waiting
  }

  /** How many of the calls in the limiter's own queue are standbys of the calls that `waiting` counts. */
  get standbys(): number {
    let standbys = 0
    for (const { waiting, standsBy } of this.#queues) if (waiting !== undefined && standsBy) standbys++
    return standbys
  }
}
