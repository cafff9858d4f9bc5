// The table of a run's limiters: which of them waits, and why. A click on a heading sorts, and a click on a name
// selects.

import { element } from '../../pages/element.ts'
import type { Cause } from './causes.ts'
import { count, span } from './labels.ts'
import { binding, type Totals } from './totals.ts'

interface Column {
  key: string
  title: string
  /** Names are sorted ascending initially, numbers descending. */
  value: (totals: Totals, causes: readonly Cause[]) => number | string
  words: (totals: Totals, causes: readonly Cause[]) => string
}

const whyOf = (totals: Totals, causes: readonly Cause[]) => binding(totals, causes)[0]?.cause.label ?? ''

const number = (key: string, title: string, value: (totals: Totals) => number): Column => ({
  ...{ key, title, value },
  words: (totals) => count(value(totals)),
})

const COLUMNS: readonly Column[] = [
  { key: 'limiter', title: 'limiter', value: ({ name }) => name, words: ({ name }) => name },
  number('calls', 'calls', ({ requests }) => requests),
  number('answered', 'answered', ({ finished }) => finished),
  number('waiting', 'waiting', ({ end }) => end.waiting),
  {
    ...{ key: 'wait', title: 'p95 wait', value: ({ p95 }) => p95 ?? -1 },
    words: ({ p95 }) => (p95 === null ? '' : waitWords(p95)),
  },
  { key: 'why', title: 'why', value: whyOf, words: whyOf },
  number('refused', 'refused', ({ refused }) => refused),
  number('failed', 'failed', ({ failed }) => failed),
]

const waitWords = (ms: number) => (ms < 10_000 ? `${count(ms / 1000)} s` : span(ms / 1000))

/** A log may contain a hundred thousand names, so only the first rows are shown. */
const MOST_ROWS = 500

export interface Order {
  key: string
  down: boolean
}

/** Parses the sort order from the URL: '-waiting' is descending. */
export function orderOf(said: string | null): Order {
  const key = said?.replace(/^-/, '')
  const known = COLUMNS.some((column) => column.key === key)
  return known ? { key: key!, down: said!.startsWith('-') } : { key: 'waiting', down: true }
}

export const orderWords = ({ key, down }: Order) => `${down ? '-' : ''}${key}`

export interface TableOptions {
  causes: readonly Cause[]
  onOrder: (order: Order) => void
  onSelect: (name: string) => void
}

export function fillLimiters(
  table: HTMLTableElement,
  all: readonly Totals[],
  order: Order,
  selected: string,
  { causes, onOrder, onSelect }: TableOptions,
): void {
  const { value } = COLUMNS.find(({ key }) => key === order.key)!
  const sign = order.down ? -1 : 1
  const sorted = [...all].sort((a, b) => {
    const [x, y] = [value(a, causes), value(b, causes)]
    return x === y ? (a.name < b.name ? -1 : 1) : x < y ? -sign : sign
  })
  const head = element(
    'tr',
    '',
    ...COLUMNS.map(({ key, title, value }) => {
      const sorts = key === order.key
      const button = element('button', '', title)
      button.type = 'button'
      button.dataset['sort'] = key
      const down = sorts ? !order.down : typeof value(sorted[0]!, causes) === 'number'
      button.addEventListener('click', () => onOrder({ key, down }))
      const cell = element('th', '', button)
      cell.scope = 'col'
      if (sorts) cell.ariaSort = order.down ? 'descending' : 'ascending'
      return cell
    }),
  )
  const rows = sorted.slice(0, MOST_ROWS).map((totals) => {
    const row = element('tr', '', ...COLUMNS.map((column) => cellOf(column, totals, causes, onSelect)))
    if (totals.name === selected) row.ariaCurrent = 'true'
    return row
  })
  const caption = element(
    'caption',
    '',
    sorted.length > MOST_ROWS ? `${count(MOST_ROWS)} of ${count(sorted.length)} limiters` : 'Limiters',
  )
  table.replaceChildren(caption, element('thead', '', head), element('tbody', '', ...rows))
}

function cellOf(
  { key, words, value }: Column,
  totals: Totals,
  causes: readonly Cause[],
  onSelect: TableOptions['onSelect'],
): HTMLElement {
  const said = words(totals, causes)
  if (key !== 'limiter') {
    const kind = key === 'why' ? 'words' : ''
    const bad = (key === 'refused' || key === 'failed') && Number(value(totals, causes)) > 0
    return element('td', bad ? 'bad' : kind, said)
  }
  const button = element('button', '', said)
  button.type = 'button'
  button.addEventListener('click', () => onSelect(totals.name))
  const cell = element('th', '', button)
  cell.scope = 'row'
  return cell
}
