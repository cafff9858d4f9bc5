// A binary heap whose items know their own index, so that any item can be moved or removed in O(log n).

export interface HeapItem {
  /** Index in the heap, maintained by the heap. -1 while outside. */
  at: number
}

export class Heap<T extends HeapItem> {
  readonly #items: T[] = []
  /** Plain fields instead of getters, because they are read several times per call. */
  size = 0
  first: T | undefined = undefined
  readonly #before: (a: T, b: T) => boolean

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
  }

  values(): readonly T[] {
    return this.#items
  }

  push(item: T): void {
    item.at = this.size++
    this.#items.push(item)
    this.#rise(item)
  }

  /** Restores the order after the key of an item changed. */
  moved(item: T): void {
    if (this.size > 1) {
      this.#rise(item)
      this.#sink(item)
    }
  }

  remove(item: T): void {
    const { at } = item
    if (at < 0) return
    item.at = -1
    const last = this.#items.pop()!
    this.size--
    if (last !== item) {
      this.#put(last, at)
      this.moved(last)
    } else if (at === 0) this.first = undefined
  }

  #rise(item: T): void {
    let { at } = item
    while (at > 0) {
      const up = (at - 1) >> 1
      const other = this.#items[up]!
      if (!this.#before(item, other)) break
      this.#put(other, at)
      at = up
    }
    this.#put(item, at)
  }

  #sink(item: T): void {
    const items = this.#items
    let { at } = item
    for (;;) {
      let down = 2 * at + 1
      if (down >= items.length) break
      if (down + 1 < items.length && this.#before(items[down + 1]!, items[down]!)) down++
      const other = items[down]!
      if (!this.#before(other, item)) break
      this.#put(other, at)
      at = down
    }
    this.#put(item, at)
  }

  #put(item: T, at: number): void {
    this.#items[at] = item
    item.at = at
    if (at === 0) this.first = item
  }
}
