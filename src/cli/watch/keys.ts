// Handles keys: they sort the table, filter it, and quit the command.

/** The columns by their keys. */
const SORTS = {
  n: 'limiter',
  r: 'rate',
  w: 'waiting',
  p: 'p95',
  e: 'ETA',
  g: 'gate',
  l: 'refused',
  y: 'why',
} as const

export type SortColumn = (typeof SORTS)[keyof typeof SORTS]

/** A key as reported by `node:readline`. */
export interface Key {
  name?: string | undefined
  ctrl?: boolean | undefined
  /** The characters it produced. */
  sequence?: string | undefined
}

const isSort = (name: string | undefined): name is keyof typeof SORTS =>
  name !== undefined && Object.hasOwn(SORTS, name)

/** The state of the table view. */
export class View {
  sort: SortColumn = 'limiter'
  /** Whether the order is reversed. Numbers start with the largest, words with Z. */
  reverse = false
  filter = ''
  /** Whether typed keys go into the filter. */
  typing = false

  /** Handles a key. Returns whether the command ends. */
  press({ name, ctrl, sequence = '' }: Key): boolean {
    if (ctrl && (name === 'c' || name === 'd')) return true
    if (this.typing) this.#type(name, sequence)
    else if (name === 'q') return true
    else if (sequence === '/') this.typing = true
    else if (name === 'escape') this.filter = ''
    else if (isSort(name)) this.#sortBy(SORTS[name])
    return false
  }

  #type(name: string | undefined, sequence: string): void {
    if (name === 'return' || name === 'enter') this.typing = false
    else if (name === 'escape') Object.assign(this, { typing: false, filter: '' })
    else if (name === 'backspace') this.filter = [...this.filter].slice(0, -1).join('')
    else if (!/\p{Cc}/u.test(sequence)) this.filter += sequence
  }

  /** The same key again reverses the order. Numbers start with the largest. */
  #sortBy(column: SortColumn): void {
    const words = column === 'limiter' || column === 'why' || column === 'gate'
    this.reverse = this.sort === column ? !this.reverse : !words
    this.sort = column
  }

  /** The text of the last line. */
  get footer(): string {
    if (this.typing) return `filter: ${this.filter}_  Enter keeps it, Esc clears it`
    const filtered = this.filter === '' ? '/ filters' : `filter: ${this.filter} (Esc clears)`
    return `sort: ${Object.keys(SORTS).join(' ')}  ${filtered}  q ends`
  }
}
