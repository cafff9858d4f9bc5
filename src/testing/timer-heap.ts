/**
 * Finds the next virtual timer: the earliest, and of equal ones the first that was set.
 *
 * A binary heap whose entries know their own position, so that cancelling also takes O(log n). Leaving cancelled
 * entries in the heap would be simpler, but a limiter that resets its timer at each call would fill the heap.
 */

export interface HeapTimer {
  readonly at: number
  readonly order: number
  readonly fn: () => void
  /** Its index in the heap, or -1 after it fired or was cancelled. */
  place: number
}

function isBefore(a: HeapTimer, b: HeapTimer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

export class TimerHeap {
  readonly #timers: HeapTimer[] = []
  #armed = 0

  get size(): number {
    return this.#timers.length
  }

  first(): HeapTimer | undefined {
    return this.#timers[0]
  }

  add(at: number, fn: () => void): HeapTimer {
    const timer: HeapTimer = { at, order: this.#armed++, fn, place: -1 }
    this.#timers.push(timer)
    this.#rise(timer, this.#timers.length - 1)
    return timer
  }

  remove(timer: HeapTimer): void {
    const hole = timer.place
    if (hole === -1) return
    timer.place = -1
    const last = this.#timers.pop()!
    if (last === timer) return
    this.#rise(last, hole)
    this.#sink(last, last.place)
  }

  #put(timer: HeapTimer, place: number): void {
    this.#timers[place] = timer
    timer.place = place
  }

  #rise(timer: HeapTimer, from: number): void {
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      const parent = this.#timers[above]!
      if (!isBefore(timer, parent)) break
      this.#put(parent, place)
      place = above
    }
    this.#put(timer, place)
  }

  #sink(timer: HeapTimer, from: number): void {
    let place = from
    for (;;) {
      const left = 2 * place + 1
      const right = left + 1
      const child =
        right < this.#timers.length && isBefore(this.#timers[right]!, this.#timers[left]!) ? right : left
      if (child >= this.#timers.length || !isBefore(this.#timers[child]!, timer)) break
      this.#put(this.#timers[child]!, place)
      place = child
    }
    this.#put(timer, place)
  }
}
