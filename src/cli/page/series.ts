// Builds a run from records: the points of each limiter, the outcome of its calls, and what they waited for. A log
// of a million seconds is combined into longer points while it is read, so that it fits into a page. Shorter logs
// keep their seconds, so that zooming in shows them.

import type { LogRecord } from '../../telemetry/log-record.ts'
import { sizeFrom } from './buckets.ts'
import { Causes } from './causes.ts'
import type { Columns } from './columns.ts'
import { Points } from './points.ts'
import { AllTotals, type Totals, TotalsOf } from './totals.ts'

/** The maximum number of points kept per run. */
const MOST_POINTS = 300_000

/** One limiter of a run: its points, and the outcome of its calls. */
export interface LimiterSeries {
  columns: Columns
  totals: Totals
}

interface Building {
  points: Points
  totals: TotalsOf
}

/** A run, built record by record. */
export class RunSeries {
  readonly #causes = new Causes()
  readonly #byName = new Map<string, Building>()
  readonly #all = new AllTotals()
  readonly #mostPoints: number
  /** Whether the log continues after the last record that was added. */
  goesOn = false
  #size = 1
  #points = 0

  constructor(mostPoints = MOST_POINTS) {
    this.#mostPoints = mostPoints
  }

  /** The number of points kept, over all limiters. */
  get points(): number {
    return this.#points
  }

  get causes() {
    return this.#causes.list
  }

  /** The length of a point in seconds. */
  get size(): number {
    return this.#size
  }

  /** The limiters, sorted by name. */
  get limiters(): LimiterSeries[] {
    return [...this.#byName.values()]
      .map(({ points, totals }) => ({ columns: points.columns, totals: this.#ended(totals.read()) }))
      .sort((a, b) => (a.columns.name < b.columns.name ? -1 : 1))
  }

  get names(): string[] {
    return [...this.#byName.keys()]
  }

  /** The totals of all limiters. */
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

  /** Merges points into points of the next length. */
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
