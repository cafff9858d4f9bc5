// A run, record by record: the points of each limiter, what came of its calls, and what they waited for. A log of a
// million seconds is put together once while it is read, so that it fits into a page; every other log keeps its
// seconds, and zooming in leads back to them.

import type { LogRecord } from '../../telemetry/log-record.ts'
import { sizeFrom } from './buckets.ts'
import { Causes } from './causes.ts'
import type { Columns } from './columns.ts'
import { Points } from './points.ts'
import { AllTotals, type Totals, TotalsOf } from './totals.ts'

/** So many points are kept of a run. */
const MOST_POINTS = 300_000

/** One limiter of a run: its points, and what came of its calls. */
export interface LimiterSeries {
  columns: Columns
  totals: Totals
}

interface Building {
  points: Points
  totals: TotalsOf
}

/** A run, record by record. */
export class RunSeries {
  readonly #causes = new Causes()
  readonly #byName = new Map<string, Building>()
  readonly #all = new AllTotals()
  readonly #mostPoints: number
  /** Whether the log goes on after the last record that was added. */
  goesOn = false
  #size = 1
  #points = 0

  constructor(mostPoints = MOST_POINTS) {
    this.#mostPoints = mostPoints
  }

  /** How many points are kept, of all limiters. */
  get points(): number {
    return this.#points
  }

  get causes() {
    return this.#causes.list
  }

  /** Seconds in a point. */
  get size(): number {
    return this.#size
  }

  /** The limiters, in the order of their names. */
  get limiters(): LimiterSeries[] {
    return [...this.#byName.values()]
      .map(({ points, totals }) => ({ columns: points.columns, totals: this.#ended(totals.read()) }))
      .sort((a, b) => (a.columns.name < b.columns.name ? -1 : 1))
  }

  get names(): string[] {
    return [...this.#byName.keys()]
  }

  /** Of all limiters together. */
  get totals(): Totals {
    return this.#ended(this.#all.read())
  }

  #ended(totals: Totals): Totals {
    return this.goesOn ? { ...totals, end: { ...totals.end, goesOn: true } } : totals
  }

  add(record: LogRecord): void {
    const { name } = record
    const { points, totals } = this.#byName.get(name) ?? this.#open(name)
    const why = record.why ? this.#causes.placeOf(record.why) : -1
    totals.add(record, why)
    this.#all.add(record, why)
    const before = points.length
    points.add(record, why, this.#causes)
    this.#points += points.length - before
    while (this.#points > Math.max(this.#mostPoints, this.#byName.size)) this.coarsen()
  }

  /** Puts points together into the next longer ones. */
  coarsen(): void {
    this.#size = sizeFrom(this.#size + 1)
    this.#points = 0
    for (const { points } of this.#byName.values()) {
      points.coarsen(this.#size)
      this.#points += points.length
    }
  }

  #open(name: string): Building {
    const made = { points: new Points(name, this.#size), totals: new TotalsOf(name) }
    this.#byName.set(name, made)
    this.#all.join(made.totals)
    return made
  }
}

export function seriesOf(records: Iterable<LogRecord>): RunSeries {
  const series = new RunSeries()
  for (const record of records) series.add(record)
  return series
}
