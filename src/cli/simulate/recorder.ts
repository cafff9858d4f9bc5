// Converts a simulated run to the records of a log, so that one page can draw both: one record per second with
// activity or waiting calls, with the levels at its end.

import type { VirtualClock } from 'llmiter/testing'
import type { LogRecord } from '../../telemetry/log-record.ts'
import { percentile } from '../../lib/percentile.ts'

export type Levels = Pick<
  LogRecord,
  'waiting' | 'parked' | 'inFlight' | 'gate' | 'rate' | 'limit' | 'why'
> & {
  tokens?: { available: number; limit: number }
}
type Counts = Pick<LogRecord, 'requests' | 'issued' | 'refused' | 'finished' | 'failed' | 'rejected'>

interface Second {
  readonly t: number
  readonly counts: Counts
  readonly waitsMs: number[]
  asked: number
  used: number
  readonly cancel: () => void
}

/** Sets a timer that is never late. */
export type OnTime = (fn: () => void, ms: number) => () => void

const SECOND_MS = 1000

export class Recorder {
  readonly records: LogRecord[] = []
  readonly #clock: VirtualClock
  readonly #name: string
  readonly #levels: () => Levels
  readonly #onTime: OnTime
  #second: Second | undefined

  constructor(clock: VirtualClock, onTime: OnTime, name: string, levels: () => Levels) {
    this.#clock = clock
    this.#onTime = onTime
    this.#name = name
    this.#levels = levels
  }

  count(what: keyof Counts): void {
    this.#now().counts[what]++
  }

  issued(waitedMs: number): void {
    this.count('issued')
    this.#now().waitsMs.push(waitedMs)
  }

  asked(tokens: number): void {
    this.#now().asked += tokens
  }

  used(tokens: number): void {
    this.#now().used += tokens
  }

  /** Ends the current second, or the run. */
  close(): void {
    const second = this.#second
    if (!second) return
    this.#second = undefined
    second.cancel()
    const { t, counts, waitsMs, asked, used } = second
    const { tokens, ...levels } = this.#levels()
    waitsMs.sort((a, b) => a - b)
    this.records.push({
      v: 1,
      t,
      name: this.#name,
      ...counts,
      ...levels,
      ...(tokens && { tokens: { asked, used, ...tokens } }),
      ...(waitsMs.length > 0 && {
        waitMs: { p50: percentile(waitsMs, 0.5) ?? 0, p95: percentile(waitsMs, 0.95) ?? 0 },
      }),
    })
  }

  #goOn(): void {
    this.close()
    const { waiting, inFlight } = this.#levels()
    if (waiting + inFlight > 0) this.#now()
  }

  #now(): Second {
    const wall = this.#clock.wall()
    const t = wall - (wall % SECOND_MS)
    // Another call may be first in a new second.
    if (this.#second && this.#second.t !== t) this.close()
    return (this.#second ??= {
      t,
      counts: { requests: 0, issued: 0, refused: 0, finished: 0, failed: 0, rejected: 0 },
      waitsMs: [],
      asked: 0,
      used: 0,
      cancel: this.#onTime(() => this.#goOn(), t + SECOND_MS - wall),
    })
  }
}
