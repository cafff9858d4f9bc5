// The points of one limiter, added record by record.
//
// A log may have a million records, so each point is a row in one list of numbers. A separate list per field would
// grow thirty lists at the same time, which takes four times as long and twice the memory. NaN means unknown.

import type { LimitRecord, LogRecord } from '../../telemetry/log-record.ts'
import { type Causes, limitName } from './causes.ts'
import {
  type Columns,
  COUNTS,
  filled,
  GATES,
  HELD,
  least,
  LEVELS,
  type LimitColumn,
  most,
  WAITS,
} from './columns.ts'

/** How a value is merged when two points are combined. */
type Rule = (before: number, now: number) => number

const sum: Rule = (before, now) => before + now
const highest: Rule = Math.max
const latest: Rule = (before, now) => (Number.isNaN(now) ? before : now)

interface Field {
  nothing: number
  rule: Rule
}

/**
 * A row starts with the time, the index of the cause, and the number of seconds by which this cause leads the
 * others.
 */
const [TIME, WHY, AHEAD] = [0, 1, 2]
const KEYS = ['t', 'why', 'whyS', ...COUNTS, ...LEVELS, 'gate', ...HELD, ...WAITS] as const
const PLACE = Object.fromEntries(KEYS.map((key, i) => [key, i])) as Record<(typeof KEYS)[number], number>

const fieldOf = (key: (typeof KEYS)[number]): Field => {
  if (([...LEVELS, 'gate'] as string[]).includes(key)) return { nothing: 0, rule: highest }
  if (key === 'available') return { nothing: NaN, rule: least }
  if ((HELD as readonly string[]).includes(key)) return { nothing: NaN, rule: latest }
  if ((WAITS as readonly string[]).includes(key)) return { nothing: NaN, rule: most }
  return { nothing: 0, rule: sum }
}
const FIELDS = KEYS.map(fieldOf)

/** Each limit adds three fields, in this order. */
const LIMIT_KEYS = ['asked', 'free', 'amount'] as const
const LIMIT_FIELDS: readonly Field[] = [
  { nothing: 0, rule: sum },
  { nothing: NaN, rule: least },
  { nothing: NaN, rule: latest },
]

/** A limiter has a few limits. A log with a new limit in each line is not from llmiter. */
const MOST_LIMITS = 20

/**
 * Rows per block. The first block grows up to this size. Others are allocated with this size, so that no row is
 * copied again.
 */
const BLOCK = 1024
const FIRST_BLOCK = 16

export class Points {
  readonly #name: string
  readonly #limits: Pick<LimitColumn, 'of' | 'perMs' | 'label' | 'colour'>[] = []
  #size: number
  #fields: Field[] = FIELDS
  /** An empty row, and a row for the current record. */
  #nothing = Float64Array.from(FIELDS, ({ nothing }) => nothing)
  #row = this.#nothing.slice()
  #blocks = [new Float64Array(FIRST_BLOCK * FIELDS.length)]
  #length = 0
  /** Whether the rows are in order. A clock may have been set back, in which case they are sorted later. */
  #inOrder = true
  #columns: Columns | undefined

  constructor(name: string, size: number) {
    this.#name = name
    this.#size = size
  }

  get length(): number {
    return this.#length
  }

  /** Records of the same second are merged, because a flush splits a second. The later one sets the levels. */
  add(record: LogRecord, why: number, causes: Causes): void {
    const { limits, tokens, waitMs, rate, limit } = record
    const places = limits?.map((each) => this.#placeOf(each, causes))
    const row = this.#row
    row.set(this.#nothing)
    row[TIME] = Math.floor(record.t / 1000)
    row[WHY] = why
    row[AHEAD] = why < 0 ? 0 : 1
    row[PLACE.requests] = record.requests
    row[PLACE.issued] = record.issued
    row[PLACE.refused] = record.refused
    row[PLACE.finished] = record.finished
    row[PLACE.failed] = record.failed
    row[PLACE.rejected] = record.rejected
    row[PLACE.waiting] = record.waiting
    row[PLACE.parked] = record.parked
    row[PLACE.inFlight] = record.inFlight
    row[PLACE.gate] = GATES.indexOf(record.gate)
    if (rate !== undefined) row[PLACE.rate] = rate
    if (limit !== undefined) row[PLACE.limit] = limit
    if (waitMs) row.set([waitMs.p50, waitMs.p95], PLACE.p50)
    if (tokens) {
      row[PLACE.asked] = tokens.asked
      row[PLACE.used] = tokens.used
      row[PLACE.available] = tokens.available
      row[PLACE.tokenLimit] = tokens.limit
    }
    limits?.forEach(({ asked = 0, available, amount, learned = amount }, i) => {
      const place = places![i]!
      if (place > 0) row.set([asked, available, learned], place)
    })
    this.#merge(row)
  }

  /** Merges points into longer ones. */
  coarsen(size: number): void {
    this.#size = size
    this.#mergeAll()
  }

  /** The points, one list per field. */
  get columns(): Columns {
    if (!this.#inOrder) this.#mergeAll()
    return (this.#columns ??= {
      ...{ name: this.#name, size: this.#size },
      ...(Object.fromEntries(KEYS.map((key, i) => [key, this.#column(i)])) as Omit<
        Columns,
        'name' | 'size' | 'limits'
      >),
      limits: this.#limits.map((limit, i) => {
        const place = FIELDS.length + i * LIMIT_KEYS.length
        const [asked, free, amount] = LIMIT_KEYS.map((_, k) => this.#column(place + k))
        return { ...limit, asked: asked!, free: free!, amount: amount! }
      }),
    })
  }

  /** Rounded to hundredths, as in the log. */
  #column(place: number): number[] {
    const width = this.#nothing.length
    const values = filled(this.#length, NaN)
    for (let first = 0; first < values.length; first += BLOCK) {
      const block = this.#blocks[first / BLOCK]!
      const rows = Math.min(BLOCK, values.length - first)
      for (let i = 0; i < rows; i++) values[first + i] = Math.round(block[i * width + place]! * 100) / 100
    }
    return values
  }

  /** The index of the first field of a limit. −1: there are too many limits. */
  #placeOf({ of, perMs }: LimitRecord, causes: Causes): number {
    let at = this.#limits.findIndex((limit) => limit.of === of && limit.perMs === perMs)
    if (at < 0) {
      if (this.#limits.length === MOST_LIMITS) return -1
      const label = limitName(of, of, perMs)
      at = this.#limits.push({ of, perMs, label, colour: causes.colourOfLimit(label) }) - 1
      this.#widen([...this.#fields, ...LIMIT_FIELDS])
    }
    return FIELDS.length + at * LIMIT_KEYS.length
  }

  /** Adds fields to all rows. */
  #widen(fields: Field[]): void {
    this.#fields = fields
    const rows = this.#takeRows()
    this.#nothing = Float64Array.from(fields, ({ nothing }) => nothing)
    this.#row = this.#nothing.slice()
    for (const row of rows) {
      this.#append(this.#nothing)
      this.#rowAt(this.#length - 1).set(row)
    }
  }

  #rowAt(i: number): Float64Array {
    const width = this.#nothing.length
    const start = (i % BLOCK) * width
    return this.#blocks[Math.floor(i / BLOCK)]!.subarray(start, start + width)
  }

  /** Merges a row into the last one if it belongs to the same point. Otherwise appends it. */
  #merge(row: Float64Array): void {
    this.#columns = undefined
    const size = this.#size
    const t = Math.floor(row[TIME]! / size) * size
    const last = this.#length > 0 ? this.#rowAt(this.#length - 1) : undefined
    if (last?.[TIME] !== t) {
      this.#inOrder &&= last === undefined || t > last[TIME]!
      this.#append(row)
      this.#rowAt(this.#length - 1)[TIME] = t
      return
    }
    for (let i = AHEAD + 1; i < row.length; i++)
      last[i] = this.#ruled(this.#fields[i]!.rule)(last[i]!, row[i]!)
    if (size === 1) last.set([row[WHY]!, row[AHEAD]!], WHY)
    else vote(last, row[WHY]!, row[AHEAD]!)
  }

  /** Within one second, the later record sets the levels. */
  #ruled(rule: Rule): Rule {
    return this.#size === 1 && (rule === highest || rule === least) ? latest : rule
  }

  #append(row: Float64Array): void {
    const [width, at] = [this.#nothing.length, this.#length % BLOCK]
    const block = Math.floor(this.#length / BLOCK)
    const before = this.#blocks[block]
    if (!before) this.#blocks.push(new Float64Array(BLOCK * width))
    else if (at * width === before.length) {
      this.#blocks[block] = new Float64Array(2 * before.length)
      this.#blocks[block].set(before)
    }
    this.#blocks[block]!.set(row, at * width)
    this.#length++
  }

  /** Merges all rows again, in order of time. */
  #mergeAll(): void {
    const rows = this.#length
    if (this.#inOrder) {
      // A row is read before its position is overwritten.
      this.#length = 0
      for (let i = 0; i < rows; i++) this.#merge(this.#rowAt(i))
      return
    }
    const sorted = this.#takeRows().sort((a, b) => a[TIME]! - b[TIME]!)
    this.#inOrder = true
    for (const row of sorted) this.#merge(row)
  }

  /** Removes and returns all rows. */
  #takeRows(): Float64Array[] {
    const rows = Array.from({ length: this.#length }, (_, i) => this.#rowAt(i))
    this.#blocks = [new Float64Array(FIRST_BLOCK * this.#fields.length)]
    this.#length = 0
    return rows
  }
}

/** The cause with the most seconds becomes the cause of the point. (A majority vote with one counter.) */
function vote(row: Float64Array, cause: number, seconds: number): void {
  const ahead = row[AHEAD]!
  if (cause === row[WHY]) row[AHEAD] = ahead + seconds
  else if (seconds <= ahead) row[AHEAD] = ahead - seconds
  else row.set([cause, seconds - ahead], WHY)
}
