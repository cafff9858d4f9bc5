// Counts the outcomes of the calls in a log, so that they add up, and what held them back. As numbers and as
// sentences.

import type { LogRecord } from '../../telemetry/log-record.ts'
import type { Cause } from './causes.ts'
import { ALL, count, plural, rejectionWords, span } from './labels.ts'

/** The outcomes of the calls of one limiter, or of all. */
export interface Totals {
  name: string
  requests: number
  refused: number
  finished: number
  failed: number
  rejected: number
  /** The maximum number of waiting calls at the end of a second. */
  mostWaiting: number
  /** Seconds in which the gate was not open. */
  closedS: number
  /** The time from the first second to the last. */
  seconds: number
  /** Seconds at whose end calls waited, and those seconds by the index of their cause. */
  waitedS: number
  boundS: Record<number, number>
  /** The time in ms within which 95 % of the calls got their ticket. Null if none did. */
  p95: number | null
  /** The last refusal and the last failure, in words. */
  refusal?: string
  failure?: string
  /** Why the last call was rejected. */
  rejection?: string
  /** The state at the end of the log. Times in seconds since the epoch. */
  end: {
    t: number
    waiting: number
    /** Of these, the calls in the queue of a pool, which are not among `requests` yet. */
    inPools: number
    inFlight: number
    etaMs?: number
    /** Only a part was read, and the log continues. */
    goesOn?: true
  }
}

const COUNTS = ['requests', 'refused', 'finished', 'failed', 'rejected'] as const

/** The input of totals: a record, or all records of a second combined. */
type Second = Pick<LogRecord, 't' | 'issued' | 'gate' | 'waiting' | 'inFlight' | (typeof COUNTS)[number]> &
  Pick<LogRecord, 'inPools' | 'waitMs' | 'refusal' | 'failure' | 'rejection' | 'etaMs'>

/** The bucket width of the histogram of waits: percentiles are off by at most a twentieth. */
const STEP = Math.log(1.05)

/** The totals of a limiter, record by record. */
export class TotalsOf {
  readonly name: string
  readonly sums = { requests: 0, refused: 0, finished: 0, failed: 0, rejected: 0, closedS: 0, waitedS: 0 }
  readonly boundS: Record<number, number> = {}
  /** The number of tickets, by the p95 of their second. */
  readonly waits = new Map<number, number>()
  #mostWaiting = 0
  #from = Infinity
  #to = -Infinity
  #refusal: string | undefined
  #failure: string | undefined
  #rejection: string | undefined
  readonly #end: Totals['end'] = { t: 0, waiting: 0, inPools: 0, inFlight: 0 }

  constructor(name: string) {
    this.name = name
  }

  add(record: Second, why: number): void {
    const { sums } = this
    const second = Math.floor(record.t / 1000)
    // A flush splits a second in two.
    const again = second === this.#to
    for (const key of COUNTS) sums[key] += record[key]
    if (!again && record.gate !== 'open') sums.closedS++
    if (!again && (record.waiting > 0 || why >= 0)) sums.waitedS++
    if (!again && why >= 0) this.boundS[why] = (this.boundS[why] ?? 0) + 1
    if (record.waitMs) {
      const step = Math.round(Math.log(1 + record.waitMs.p95) / STEP)
      this.waits.set(step, (this.waits.get(step) ?? 0) + record.issued)
    }
    this.#mostWaiting = Math.max(this.#mostWaiting, record.waiting)
    this.#from = Math.min(this.#from, second)
    this.#refusal = record.refusal ?? this.#refusal
    this.#failure = record.failure ?? this.#failure
    this.#rejection = record.rejection ?? this.#rejection
    if (second < this.#to) return
    this.#to = second
    this.#end.t = second + 1
    this.#end.waiting = record.waiting
    this.#end.inPools = record.inPools ?? 0
    this.#end.inFlight = record.inFlight
    if (record.etaMs === undefined) delete this.#end.etaMs
    else this.#end.etaMs = record.etaMs
  }

  read(): Totals {
    return {
      name: this.name,
      ...this.sums,
      mostWaiting: this.#mostWaiting,
      seconds: this.#end.t > 0 ? this.#to + 1 - this.#from : 0,
      boundS: { ...this.boundS },
      p95: percentileOf(this.waits, 0.95),
      ...(this.#refusal !== undefined && { refusal: this.#refusal }),
      ...(this.#failure !== undefined && { failure: this.#failure }),
      ...(this.#rejection !== undefined && { rejection: this.#rejection }),
      end: { ...this.#end },
    }
  }
}

function percentileOf(waits: ReadonlyMap<number, number>, share: number): number | null {
  const steps = [...waits].sort(([a], [b]) => a - b)
  let left = share * steps.reduce((sum, [, tickets]) => sum + tickets, 0)
  for (const [step, tickets] of steps)
    if ((left -= tickets) <= 0) return Math.round(Math.exp(step * STEP) - 1)
  return null
}

/** The totals of all limiters combined, second by second. Their records of one second arrive one after the other. */
export class AllTotals {
  readonly #of = new TotalsOf(ALL)
  readonly #parts: TotalsOf[] = []
  readonly #sum: Second = {
    ...{ t: NaN, issued: 0, gate: 'open', waiting: 0, inFlight: 0 },
    ...{ requests: 0, refused: 0, finished: 0, failed: 0, rejected: 0 },
  }
  readonly #waiting = new Map<string, number>()
  /** The cause that holds the most calls, and the number of those calls. */
  #why = -1
  #held = 0

  /** Adds the totals of a limiter. */
  join(part: TotalsOf): void {
    this.#parts.push(part)
  }

  add(record: LogRecord, why: number): void {
    const { name, waiting, gate } = record
    const sum = this.#sum
    const t = Math.floor(record.t / 1000) * 1000
    if (sum.t !== t) this.#begin(t)
    for (const key of COUNTS) sum[key] += record[key]
    // A flush splits a second in two, and the later record sets the levels.
    sum.waiting += waiting - (this.#waiting.get(name) ?? 0)
    this.#waiting.set(name, waiting)
    if (gate !== 'open') sum.gate = gate
    if (why < 0 || (this.#why >= 0 && waiting <= this.#held)) return
    this.#why = why
    this.#held = waiting
  }

  /** Ends the previous second. */
  #begin(t: number): void {
    const sum = this.#sum
    if (!Number.isNaN(sum.t)) this.#of.add(sum, this.#why)
    for (const key of COUNTS) sum[key] = 0
    Object.assign(sum, { t, gate: 'open', waiting: 0 })
    this.#waiting.clear()
    this.#why = -1
    this.#held = 0
  }

  read(): Totals {
    this.#begin(NaN)
    const sum = this.#of.read()
    const waits = new Map<number, number>()
    Object.assign(sum.end, { waiting: 0, inPools: 0, inFlight: 0 })
    for (const part of this.#parts) {
      for (const [step, tickets] of part.waits) waits.set(step, (waits.get(step) ?? 0) + tickets)
      const { end, refusal, failure, rejection } = part.read()
      sum.end.waiting += end.waiting
      sum.end.inPools += end.inPools
      sum.end.inFlight += end.inFlight
      const etaMs = Math.max(sum.end.etaMs ?? 0, end.etaMs ?? 0)
      if (etaMs > 0) sum.end.etaMs = etaMs
      if (refusal !== undefined) sum.refusal = refusal
      if (failure !== undefined) sum.failure = failure
      if (rejection !== undefined) sum.rejection = rejection
    }
    sum.p95 = percentileOf(waits, 0.95)
    return sum
  }
}

/** The causes by how long they held calls, longest first. */
export function binding({ boundS }: Totals, causes: readonly Cause[]): { cause: Cause; seconds: number }[] {
  return Object.entries(boundS)
    .map(([place, seconds]) => ({ cause: causes[Number(place)]!, seconds }))
    .sort((a, b) => b.seconds - a.seconds)
}

/** The outcome of all calls, and what held them back. */
export const summary = (totals: Totals, causes: readonly Cause[]) =>
  [outcome(totals), failing(totals), bound(totals, causes), trouble(totals)].filter(Boolean).join(' ')

/** '412 calls in 7 min: 300 answered, 2 failed, 110 still waiting when the log ends.' */
export function outcome(totals: Totals): string {
  const { finished, failed, rejected, rejection, seconds, end } = totals
  const requests = totals.requests + end.inPools
  const all = finished + failed + rejected + end.waiting + end.inFlight
  const ends = [
    `${count(finished)} answered`,
    ...(failed > 0 ? [`${count(failed)} failed`] : []),
    ...(rejected > 0
      ? [`${count(rejected)} turned away${rejection ? ` (${rejectionWords(rejection)})` : ''}`]
      : []),
    ...(end.waiting > 0 ? [`${count(end.waiting)} still waiting`] : []),
    ...(end.inFlight > 0 ? [`${count(end.inFlight)} still in flight`] : []),
  ]
  const ending = end.goesOn ? ' at the end of this part' : ' when the log ends'
  const late = end.waiting + end.inFlight > 0 ? ending : ''
  // The log began in the middle of a run, or only a part of it is shown.
  const before = all > requests ? ` (${count(all - requests)} of them asked before it begins)` : ''
  const lost = all < requests ? `, and ${count(requests - all)} that the log does not account for` : ''
  return `${plural(Math.max(all, requests), 'call')} in ${span(seconds)}${before}: ${ends.join(', ')}${late}${lost}.`
}

function failing({ finished, failed, failure }: Totals): string {
  const ended = finished + failed
  if (ended < 5 || failed <= ended / 2) return ''
  const share = finished === 0 ? 'Every call failed' : `${percent(failed / ended)} of the calls failed`
  return `${share}${failure === undefined ? '' : ` (${failure})`}.`
}

/** A sentence about what held the calls back. */
function bound(totals: Totals, causes: readonly Cause[]): string {
  const { waitedS, mostWaiting } = totals
  const [first, second] = binding(totals, causes)
  if (!first)
    return mostWaiting > 0
      ? 'The log does not say what they waited for.'
      : 'Nothing held them back: no call was waiting at the end of any second.'
  const share = (seconds: number) => percent(Math.min(1, seconds / waitedS))
  const then = second ? `; in ${share(second.seconds)} for ${second.cause.text}` : ''
  const most = `they waited for ${first.cause.text}${then}`
  return `In ${share(first.seconds)} of the ${span(waitedS)} in which calls waited, ${most}.`
}

function trouble({ refused, refusal, mostWaiting, closedS }: Totals): string {
  const said = refused > 0 && refusal !== undefined ? ` (the last: ${refusal})` : ''
  const gate = closedS > 0 ? `; the gate was closed for ${span(closedS)}` : ''
  return `${plural(refused, 'refusal')}${said}, at most ${count(mostWaiting)} waiting${gate}.`
}

/** A message if the program stopped writing while calls waited. `made`: when the graph was created, in epoch ms. */
export function silence({ end }: Totals, zone: (seconds: number) => string, made: number): string {
  const left = end.waiting + end.inFlight
  if (left === 0 || end.goesOn || made / 1000 - end.t < SILENT_S) return ''
  const eta = end.etaMs === undefined ? '' : ` They would have waited about ${span(end.etaMs / 1000)} more.`
  return `The log ends at ${zone(end.t)} with ${plural(left, 'call')} unfinished: its program ended or was killed.${eta}`
}

/** A log has ended when its last second is this old. */
const SILENT_S = 10

const percent = (share: number) => `${Math.round(100 * share)} %`
