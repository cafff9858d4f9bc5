// What the keys do: they sort the table, filter it, and end the command.

/** The columns by their keys. */
export const SORTS = {
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

/** A key, as `node:readline` tells it. */
export interface Key {
  name?: string | undefined
  ctrl?: boolean | undefined
  /** The characters that it wrote. */
  sequence?: string | undefined
}

const isSort = (name: string | undefined): name is keyof typeof SORTS =>
  name !== undefined && Object.hasOwn(SORTS, name)

/** How the table is shown. */
export class View {
  sort: SortColumn = 'limiter'
  /** The largest first; of words, from the end of the alphabet. */
  reverse = false
  filter = ''
  /** Whether keys write into the filter. */
  typing = false

  /** Returns whether the command ends. */
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

  /** The same key again turns the order round. Of numbers the largest is looked for. */
  #sortBy(column: SortColumn): void {
    const words = column === 'limiter' || column === 'why' || column === 'gate'
    this.reverse = this.sort === column ? !this.reverse : !words
    this.sort = column
  }

  /** What the last line says. */
  get footer(): string {
    if (this.typing) return `filter: ${this.filter}_  Enter keeps it, Esc clears it`
    const filtered = this.filter === '' ? '/ filters' : `filter: ${this.filter} (Esc clears)`
    return `sort: ${Object.keys(SORTS).join(' ')}  ${filtered}  q ends`
  }
}
