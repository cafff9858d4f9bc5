// What the last minute of each limiter looks like, as a line of text.

import type { LogRecord } from '../../telemetry/log-record.ts'
import { count, span } from '../page/labels.ts'
import type { Added } from './tail.ts'

/** A limiter of one run. */
interface Row {
  run: string
  /** The first second that was read. */
  since: number
  last: LogRecord
  /** Tickets of each second of the last minute. */
  issued: Map<number, number>
  refusedAt?: number
}

const MINUTE_S = 60
/** The rate is that of so many whole seconds. */
const RATE_S = 10
/** A limiter of which nothing was heard for so long is gone. */
const GONE_MS = 10 * 60_000
/** A second is written when it is over, and read a little later. */
const LATE_MS = 3000
const BARS = ' ▁▂▃▄▅▆▇█'

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
      if (record.refused > 0) row.refusedAt = record.t
    }
  }

  /** A heading and a line for each limiter, none wider than that. */
  lines(now: number, width: number): string[] {
    for (const [key, { last }] of this.#rows) if (now - last.t > GONE_MS) this.#rows.delete(key)
    const rows = [...this.#rows.values()].sort(
      (a, b) => a.last.name.localeCompare(b.last.name) || (a.run < b.run ? -1 : 1),
    )
    if (rows.length === 0) return []
    const names = rows.map(({ last, run }) =>
      rows.filter((row) => row.last.name === last.name).length > 1
        ? `${last.name} ${run.slice(-8)}`
        : last.name,
    )
    const table = [
      ['limiter', 'a minute', 'of', 'waiting', 'parked', 'in flight', 'gate', 'refused'],
      ...rows.map((row, i) => [clean(names[i]!), ...cells(row, now)]),
    ]
    const widths = table[0]!.map((_, column) =>
      Math.min(30, Math.max(...table.map((row) => row[column]!.length))),
    )
    const texts = table.map((row) =>
      row.map((cell, i) => (i === 0 ? fit(cell, widths[i]!) : cell.padStart(widths[i]!))).join('  '),
    )
    const room = Math.min(MINUTE_S, width - texts[0]!.length - 2)
    return texts.flatMap((text, i) => {
      if (i === 0) return [text.slice(0, width).trimEnd()]
      const row = rows[i - 1]!
      const bars = room < 5 ? '' : `  ${sparkline(row, now, room)}`
      const why = whyOf(row, now)
      // Below its numbers, where the narrowest terminal has room for it.
      return [`${text}${bars}`, ...(why ? [`  ${clean(why)}`] : [])].map((line) =>
        line.slice(0, width).trimEnd(),
      )
    })
  }
}

/** One second, for where there is no screen to rewrite. */
export function plainLine({ record }: Added): string {
  const { t, name, requests, issued, finished, refused, waiting, parked, inFlight, gate, rate, why } = record
  const time = new Date(t).toISOString().slice(11, 19)
  const pace = rate === undefined ? '' : ` rate ${count(rate)}/min`
  return (
    `${time} ${clean(name)}: requests ${requests} issued ${issued} finished ${finished} refused ${refused} ` +
    `waiting ${waiting} parked ${parked} in-flight ${inFlight} gate ${gate}${pace}${why ? ` for ${clean(why.text)}` : ''}`
  )
}

function cells({ last, since, issued, refusedAt }: Row, now: number): string[] {
  // What nobody writes any more is at rest.
  const quiet = now - last.t > LATE_MS + 1000
  const { waiting, parked, inFlight, gate, rate } = quiet
    ? { ...last, waiting: 0, parked: 0, inFlight: 0, gate: 'open' }
    : last
  const end = quiet ? Math.floor(now / 1000) : Math.floor(last.t / 1000) + 1
  const seconds = Math.min(RATE_S, end - since)
  let sum = 0
  for (let s = end - seconds; s < end; s++) sum += issued.get(s) ?? 0
  return [
    ...[count((sum * 60) / Math.max(1, seconds)), rate === undefined ? '-' : count(rate)],
    ...[count(waiting), count(parked), count(inFlight), gate],
    refusedAt === undefined ? '-' : ago(now - refusedAt),
  ]
}

/** What its calls wait for and for how long; or that its program has not written for a while, though calls waited. */
function whyOf({ last }: Row, now: number): string | undefined {
  const { waiting, why, etaMs, waitMs, refusal } = last
  const silentMs = now - last.t - LATE_MS
  if (silentMs > 1000) {
    return waiting > 0 ? `silent for ${span(silentMs / 1000)}, ${count(waiting)} were waiting` : undefined
  }
  if (!why) return undefined
  return [
    `for ${why.text}`,
    ...(etaMs === undefined ? [] : [`about ${span(etaMs / 1000)} left`]),
    ...(waitMs ? [`p95 ${span(waitMs.p95 / 1000)}`] : []),
    ...(refusal ? [refusal] : []),
  ].join('; ')
}

/** In the larger of its units: `3 min ago`. */
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

/** A name from a log must not move the cursor. */
// eslint-disable-next-line no-control-regex
const clean = (name: string) => name.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
const fit = (text: string, width: number) =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width)
