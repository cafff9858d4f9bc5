// Formats the last minute of each limiter as lines of text.
//
// The numbers of a limiter take one line. The reason its calls wait stands next to them if the terminal is wide
// enough, otherwise below. It is never cut to make room for a number.

import type { LogRecord } from '../../telemetry/log-record.ts'
import { count, rejectionWords, span } from '../page/labels.ts'
import type { SortColumn, View } from './keys.ts'
import type { Added } from './tail.ts'
import { clean, type Colour, cut, padEnd, padStart, type Paint, plain, widthOf, wrap } from './text.ts'

/** A limiter of one run. */
interface Row {
  run: string
  /** The first second that was read. */
  since: number
  last: LogRecord
  /** Tickets per second of the last minute. */
  issued: Map<number, number>
  p95?: { at: number; ms: number }
  refusal?: { at: number; words: string }
}

/** How the table is formatted. */
export interface Layout {
  /** In columns. */
  width: number
  /** In lines. */
  height?: number
  view?: Pick<View, 'sort' | 'reverse' | 'filter'>
  paint?: Paint
}

interface Cell {
  text: string
  colour?: Colour | undefined
}

/** A limiter ready for output: its cells, and its sort keys. */
interface Entry {
  cells: Record<Column, Cell>
  /** Lines below its numbers: the reason, or the last refusal. */
  why: Cell | undefined
  sorted: Record<SortColumn, number | string>
  bars: (room: number) => string
}

type Column = Exclude<SortColumn, 'why'>

const MINUTE_S = 60
/** The number of whole seconds over which the rate is measured. */
const RATE_S = 10
/** An idle limiter disappears after this long without records. */
const GONE_MS = 10 * 60_000
/** A second is written after it ends, and read a little later. */
const LATE_MS = 3000
const BARS = ' ▁▂▃▄▅▆▇█'
const GAP = '  '
const INDENT = '  '
const MOST_NAME = 30
/** A name is cut to this length before columns are dropped, and again before a line would be too wide. */
const SHORT_NAME = 16
const SHORTEST_NAME = 8
/** The maximum number of lines for the reason. */
const MOST_WHY = 3

const COLUMNS: readonly Column[] = ['limiter', 'rate', 'waiting', 'p95', 'ETA', 'gate', 'refused']
/** The columns that are dropped on a narrow terminal, in this order. */
const DROPPED: readonly Column[] = ['refused', 'p95', 'gate', 'rate', 'ETA']

const BY_NAME = { sort: 'limiter', reverse: false, filter: '' } as const

export class Board {
  readonly #rows = new Map<string, Row>()

  add(added: readonly Added[]): void {
    for (const { run, record } of added) {
      const key = `${run}/${record.name}`
      const second = Math.floor(record.t / 1000)
      const row = this.#rows.get(key) ?? {
        run,
        since: second,
        last: record,
        issued: new Map<number, number>(),
      }
      this.#rows.set(key, row)
      row.last = record
      row.issued.set(second, (row.issued.get(second) ?? 0) + record.issued)
      for (const old of row.issued.keys()) if (old <= second - MINUTE_S) row.issued.delete(old)
      if (record.waitMs) row.p95 = { at: record.t, ms: record.waitMs.p95 }
      if (record.refused > 0) row.refusal = { at: record.t, words: record.refusal ?? '' }
    }
  }

  /** A heading and the lines of each limiter, none wider than the terminal. */
  lines(now: number, { width, height = Infinity, view = BY_NAME, paint = plain }: Layout): string[] {
    for (const [key, { last }] of this.#rows)
      if (now - last.t > GONE_MS && last.waiting + last.inFlight === 0) this.#rows.delete(key)
    if (this.#rows.size === 0) return []
    const entries = sorted(this.#entries(now), view)
    if (entries.length === 0)
      return [paint(cut(`no limiter has '${view.filter}' in its name or reason`, width), 'dim')]
    const table = tableOf(entries, width)
    const lines = [paint(headOf(table, view), 'bold')]
    for (const [i, entry] of entries.entries()) {
      const own = linesOf(entry, table, paint)
      const left = entries.length - i
      // One line is reserved for the number of further limiters.
      if (lines.length + own.length > height - (left > 1 ? 1 : 0)) {
        lines.push(paint(cut(`and ${count(left)} more`, width), 'dim'))
        break
      }
      lines.push(...own)
    }
    return lines
  }

  #entries(now: number): Entry[] {
    const names = new Map<string, number>()
    for (const { last } of this.#rows.values()) names.set(last.name, (names.get(last.name) ?? 0) + 1)
    return [...this.#rows.values()].map((row) => {
      const { name } = row.last
      return entryOf(row, clean(names.get(name)! > 1 ? `${name} ${row.run.slice(-8)}` : name), now)
    })
  }
}

/** One line per second, for output that cannot be rewritten. */
export function plainLine({ record }: Added): string {
  const { t, name, requests, issued, finished, refused, waiting, parked, inFlight, gate, rate, why } = record
  const time = new Date(t).toISOString().slice(11, 19)
  const pace = rate === undefined ? '' : ` rate ${count(rate)}/min`
  return (
    `${time} ${clean(name)}: requests ${requests} issued ${issued} finished ${finished} refused ${refused} ` +
    `waiting ${waiting} parked ${parked} in-flight ${inFlight} gate ${gate}${pace}` +
    (why ? ` for ${clean(why.text)}` : '')
  )
}

const GATES = { open: 'green', probing: 'yellow', closed: 'red', '-': undefined } as const

/** The current state of a limiter. A log contains only seconds with activity. */
function stateOf(row: Row, now: number) {
  const { last, p95 } = row
  const silentMs = now - last.t - LATE_MS
  const silent = silentMs > 1000
  // An idle limiter writes nothing. One with unfinished calls writes every second while its program is alive.
  const dead = silent && last.waiting + last.inFlight > 0
  const recent = p95 && now - p95.at < MINUTE_S * 1000 ? p95.ms : undefined
  // A gate that was closed when the limiter became idle may be open by now, and the last refusal still shows what
  // happened.
  const shut = last.gate !== 'open'
  const told = silent && !shut ? undefined : reasonOf(row, now, silent)
  return {
    dead,
    gate: silent && shut ? '-' : last.gate,
    rate: rateOf(row, now, silent),
    p95: recent,
    eta: dead || last.waiting === 0 ? undefined : last.etaMs,
    why: dead ? silence(last, silentMs) : told,
  } as const
}

function entryOf(row: Row, name: string, now: number): Entry {
  const { last, refusal } = row
  const { waiting } = last
  const { dead, gate, rate, p95, eta, why } = stateOf(row, now)
  return {
    cells: {
      limiter: { text: name },
      rate: { text: last.rate === undefined ? count(rate) : `${count(rate)}/${count(last.rate)}` },
      waiting: { text: count(waiting), colour: colourOf(waiting, dead) },
      p95: { text: time(p95) },
      ETA: { text: time(eta) },
      gate: dead ? { text: 'silent', colour: 'red' } : { text: gate, colour: GATES[gate] },
      refused: refusedCell(refusal && now - refusal.at),
    },
    why,
    sorted: {
      ...{ limiter: name, rate, waiting, gate: dead ? 'silent' : gate, why: why?.text ?? '' },
      ...{ p95: p95 ?? -1, ETA: eta ?? -1, refused: refusal?.at ?? -1 },
    },
    bars: (room) => sparkline(row, now, room),
  }
}

const time = (ms: number | undefined) => (ms === undefined ? '-' : span(ms / 1000))

function colourOf(waiting: number, dead: boolean): Colour | undefined {
  if (waiting === 0) return undefined
  return dead ? 'red' : 'yellow'
}

const refusedCell = (agoMs: number | undefined): Cell =>
  agoMs === undefined
    ? { text: '-' }
    : { text: ago(agoMs), colour: agoMs < MINUTE_S * 1000 ? 'red' : undefined }

/** Tickets per minute, from the last ten seconds. */
function rateOf({ last, since, issued }: Row, now: number, silent: boolean): number {
  const end = silent ? Math.floor(now / 1000) : Math.floor(last.t / 1000) + 1
  const seconds = Math.min(RATE_S, end - since)
  let sum = 0
  for (let s = end - seconds; s < end; s++) sum += issued.get(s) ?? 0
  return (sum * 60) / Math.max(1, seconds)
}

const were = (n: number) => `${count(n)} ${n === 1 ? 'was' : 'were'}`

function silence({ waiting, inFlight }: LogRecord, silentMs: number): Cell {
  const parts = [
    ...(waiting > 0 ? [`${were(waiting)} waiting`] : []),
    ...(inFlight > 0 ? [`${were(inFlight)} in flight`] : []),
  ]
  return { text: `silent for ${span(silentMs / 1000)}, ${parts.join(', ')}`, colour: 'red' }
}

/** What its calls wait for, plus the provider's last refusal if the reason does not contain it. */
function reasonOf({ last, refusal }: Row, now: number, rests: boolean): Cell | undefined {
  const { failed, finished, failure, rejected, rejection } = last
  const why = rests ? undefined : last.why
  const recent = rests || (refusal && now - refusal.at < MINUTE_S * 1000)
  const refused = recent && refusal?.words && !why?.text.includes('("') ? refusal.words : undefined
  const failing = failure !== undefined && failed > finished ? `calls fail: ${failure}` : undefined
  const away =
    rejection !== undefined && rejected > finished ? `turned away: ${rejectionWords(rejection)}` : undefined
  const parts = [why && `for ${why.text}`, refused && `refused: ${refused}`, failing, away].filter(Boolean)
  if (parts.length === 0) return undefined
  const bad = why?.kind === 'gate' || failing || away
  return { text: clean(parts.join('; ')), colour: bad ? 'red' : 'yellow' }
}

function sorted(entries: readonly Entry[], { sort, reverse, filter }: NonNullable<Layout['view']>): Entry[] {
  const wanted = filter.toLowerCase()
  const order = reverse ? -1 : 1
  return entries
    .filter(({ cells, why }) => `${cells.limiter.text}\n${why?.text ?? ''}`.toLowerCase().includes(wanted))
    .sort(
      (a, b) =>
        order * compared(a.sorted[sort], b.sorted[sort]) || compared(a.sorted.limiter, b.sorted.limiter),
    )
}

const compared = (a: number | string, b: number | string) =>
  typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b))

/** The columns, their widths, and the position of the reason. */
interface Table {
  columns: Column[]
  widths: Record<Column, number>
  width: number
  /** The width for the reason next to the numbers. 0: it stands below. */
  beside: number
  bars: number
}

function tableOf(entries: readonly Entry[], width: number): Table {
  const widths = Object.fromEntries(
    COLUMNS.map((column) => [
      column,
      Math.max(column.length + 1, ...entries.map(({ cells }) => widthOf(cells[column].text))),
    ]),
  ) as Record<Column, number>
  widths.limiter = Math.min(MOST_NAME, widths.limiter)
  let columns = [...COLUMNS]
  const used = () => columns.reduce((sum, column) => sum + widths[column] + GAP.length, -GAP.length)
  const shrink = (least: number) =>
    (widths.limiter = Math.min(widths.limiter, Math.max(least, widths.limiter - Math.max(0, used() - width))))
  shrink(SHORT_NAME)
  for (const column of DROPPED) if (used() > width) columns = columns.filter((each) => each !== column)
  shrink(SHORTEST_NAME)
  const room = width - used() - GAP.length
  const longest = Math.max(0, ...entries.map(({ why }) => (why ? widthOf(why.text) : 0)))
  const beside = longest > 0 && longest <= room ? longest : 0
  const left = beside > 0 ? room - beside - GAP.length : room
  return { columns, widths, width, beside, bars: left < 5 ? 0 : Math.min(MINUTE_S, left) }
}

function headOf(
  { columns, widths, width, beside }: Table,
  { sort, reverse }: NonNullable<Layout['view']>,
): string {
  const mark = reverse ? '▾' : '▴'
  const named = (column: SortColumn) => (column === sort ? `${column}${mark}` : column)
  const cells = columns.map((column) =>
    column === 'limiter' ? padEnd(named(column), widths.limiter) : padStart(named(column), widths[column]),
  )
  return cut([...cells, ...(beside > 0 ? [named('why')] : [])].join(GAP).trimEnd(), width)
}

function linesOf({ cells, why, bars }: Entry, table: Table, paint: Paint): string[] {
  const { columns, widths, width, beside } = table
  const numbers = columns.map((column) => {
    const { text, colour } = cells[column]
    if (column === 'limiter') return padEnd(cut(text, widths.limiter), widths.limiter)
    return ' '.repeat(Math.max(0, widths[column] - widthOf(text))) + paint(text, colour)
  })
  const reason = beside > 0 ? [paint(padEnd(why?.text ?? '', beside), why?.colour)] : []
  const drawn = table.bars > 0 ? [bars(table.bars)] : []
  const below = why && beside === 0 ? wrap(why.text, Math.max(10, width - INDENT.length), MOST_WHY) : []
  return [
    [...numbers, ...reason, ...drawn].join(GAP).trimEnd(),
    ...below.map((line) => `${INDENT}${paint(line, why!.colour)}`),
  ]
}

/** A time in its largest unit: `3 min ago`. */
function ago(ms: number): string {
  const [count, unit] = span(Math.max(0, ms / 1000)).split(' ')
  return `${count} ${unit} ago`
}

function sparkline({ last, issued }: Row, now: number, room: number): string {
  const end = Math.max(Math.floor(last.t / 1000) + 1, Math.floor((now - LATE_MS) / 1000))
  const values = Array.from({ length: room }, (_, i) => issued.get(end - room + i) ?? 0)
  const most = Math.max(1, ...values)
  return values.map((value) => BARS[Math.ceil((value / most) * (BARS.length - 1))]).join('')
}
