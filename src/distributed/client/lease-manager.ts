// What one process does about its slots: which it holds, when it asks for more, what it gives back, and how it goes on
// when the store does not answer: held slots are used up, then silence until the store has noticed (2 s), then the own share.
// Pure: it is given the time, and `member.ts` carries its questions.
//
// A store that has lost what it knew (flushed, restarted, an old copy) is told what went in the last window and what is held:
// held slots stay good. It leases nothing new until all that was leased before it forgot is over, or known again.

import type { SharedLimit, StoreHost } from 'llmiter'
import { UsageJournal } from './usage-journal.ts'
import { Contact } from './connectivity.ts'
import { DemandForecast } from './demand-forecast.ts'
import { PartitionFallback } from './partition-fallback.ts'
import { Pool, usableMs } from './leased-slots.ts'
import {
  type LeaseAnswer,
  ask,
  LAW,
  type StoreNews,
  type LeaseRequest,
  type WantedLimit,
} from '../protocol.ts'
import { SharedGate } from './gate-sync.ts'
import { StoreTime } from './clock-sync.ts'
import {
  BEAT_MS,
  IDLE_BEAT_MS,
  LEAD_MS,
  type LeaseOptions,
  SILENCE_MS,
  STAY_MS,
  URGENT_MS,
} from './timing.ts'
import { dayOf } from './calendar-day.ts'

export class Lease {
  readonly gate: SharedGate
  readonly #host: StoreHost
  readonly #options: LeaseOptions
  readonly #demand: DemandForecast
  #time = new StoreTime()
  readonly #contact = new Contact()
  #limits: SharedLimit[]
  #pool!: Pool
  #books!: UsageJournal
  #island: PartitionFallback | undefined
  #answer: LeaseAnswer | undefined
  #joined = false
  #inFlight = 0
  #permits = -1
  #dead: string[] = []
  /** What the first in line takes that could not have it. */
  #short: readonly number[] | undefined
  #askAt = -Infinity
  #resync = false

  constructor(host: StoreHost, options: LeaseOptions) {
    this.#host = host
    this.#options = options
    this.gate = new SharedGate(host, options.id)
    this.#demand = new DemandForecast(options.random)
    this.#limits = []
    this.update(0)
  }

  get down(): boolean {
    return this.#contact.mode === 'down'
  }

  /** Why calls are to be rejected now, if they are. */
  get refusal(): { cause: unknown } | undefined {
    return this.down && this.#options.onStoreDown === 'reject' ? { cause: this.#contact.error } : undefined
  }

  update(now: number): void {
    const keys = this.#limits.map(({ key }) => key).join()
    this.#limits = this.#host.limits(now)
    this.#pool?.clear()
    if (!this.#books || keys !== this.#limits.map(({ key }) => key).join())
      this.#books = new UsageJournal(this.#limits)
    this.#pool = new Pool(this.#limits.length, (...change) => this.#books.amend(...change))
    if (this.#island) this.#settleAlone(now)
  }

  at(amounts: readonly number[], now: number): number {
    if (this.down) return this.#alone(amounts, now)
    const at = this.full ? Infinity : this.#pool.at(amounts, now)
    this.#short = at === Infinity ? amounts : undefined
    return at
  }

  /** Whether no more may be in flight here. */
  get full(): boolean {
    return this.#permits >= 0 ? this.#inFlight >= this.#permits : !this.#answer && this.#concurrent() > 0
  }

  #alone(amounts: readonly number[], now: number): number {
    const at = this.#pool.at(amounts, now)
    if (at < Infinity) return at
    if (this.#options.onStoreDown !== 'share') return Infinity
    if (!this.#island) {
      if (!this.#answer && this.#options.processes === undefined) return Infinity
      const from = this.#answer ? this.#contact.at + SILENCE_MS : now
      if (now < from) return from
      this.#settleAlone(now)
    }
    return this.#time.toLocal(this.#island!.at(amounts, this.#inFlight, this.#time.toStore(now)))
  }

  /** Goes on with the own share. */
  #settleAlone(now: number): void {
    if (!this.#answer) this.#time.learn(now, now, this.#host.clock.wall())
    const { processes = 1, random } = this.#options
    const { used = [], rank = Math.floor(random() * processes) } = this.#answer ?? {}
    const island = { limits: this.#wanted(now), used, rank, concurrent: this.#concurrent() }
    const known = Math.max(1, this.#answer?.processes ?? processes)
    this.#island = new PartitionFallback({ ...island, processes: known }, this.#time.toStore(now))
    this.gate.alone()
  }

  take(amounts: readonly number[], now: number): void {
    const at = this.#time.toStore(now)
    const held = this.#pool.at(amounts, now) <= now
    if (held) this.#pool.take(amounts, at)
    else this.#island?.take(amounts, at)
    this.#inFlight++
    this.#demand.went(amounts, now)
    const told = held ? this.#answer?.now : undefined
    this.#books.went(amounts, at, told)
  }

  settle(differences: readonly number[], takenAt: number, refused: readonly number[]): void {
    this.#inFlight--
    const at = this.#time.toStore(takenAt)
    if (refused.length > 0) this.gate.refusedSentAt = at
    this.#books.refused(refused)
    differences.forEach((difference, i) => {
      if (difference !== 0) this.#books.amend(i, at, difference)
    })
    this.#island?.amend(differences)
  }

  claim(): void {
    this.gate.claim()
    if (this.down && this.#options.onStoreDown === 'share') this.gate.alone()
  }

  /** When the next question is due; `Infinity` when none is. */
  dueAt(now: number): number {
    const waiting = this.#host.waiting()
    const leastMs = Math.min((this.#answer?.aheadMs ?? 0) / LAW.reserve, LAW.missingMs - 250)
    const active = waiting > 0 || this.#inFlight > 0 || now - this.#demand.lastWentAt < 1000
    if (this.down) return active || this.#joined ? this.#contact.retryAt : Infinity
    if (!this.#joined) return this.#host.inLine() > 0 ? this.#demand.mayAskAt(now, 0) : Infinity
    let due = this.#demand.askedAt + Math.max(leastMs, active ? BEAT_MS : IDLE_BEAT_MS)
    if (this.#resync || !this.#answer) return Math.max(now, this.#demand.askedAt + URGENT_MS)
    if (this.gate.urgent) {
      const opens = this.gate.claimable ? this.#time.toLocal(this.gate.until) : now
      due = Math.min(due, Math.max(now, opens, this.#demand.askedAt + URGENT_MS))
    }
    if (!this.gate.passable) return due
    const may = this.#demand.mayAskAt(now, leastMs)
    if (waiting > 0 && this.#short && (this.full || this.#pool.at(this.#short, now) === Infinity))
      due = Math.min(due, Math.max(may, this.#askAt))
    else if (this.#wants(now) > 0) {
      const refill = this.#pool.lastAt - LEAD_MS - this.#time.lagMs
      due = Math.min(due, Math.max(may, this.#askAt, refill))
    }
    return due
  }

  /** Whether the process has been idle for so long that it leaves. */
  idle(now: number): boolean {
    return this.#host.inLine() === 0 && this.#inFlight === 0 && now - this.#demand.lastWentAt > STAY_MS
  }

  question(now: number, gone = false): LeaseRequest {
    const waiting = this.#host.waiting()
    this.#demand.asking(now, (this.#answer?.processes ?? 1) === 1, !this.#resync)
    // Who has left has given all back: to a new store it is a newborn.
    const known = this.#joined ? (this.#answer?.processes ?? 0) : 0
    this.#joined = !gone
    this.#pool.expire(now)
    if (gone) this.#pool.clear()
    const limits = this.#wanted(now)
    if (this.#answer) this.#books.remind(Infinity, this.#time.toStore(now))
    const question = ask({
      ...{ id: this.#options.id, gen: this.#answer?.news.gen ?? '', heard: this.#answer?.now ?? -1, known },
      alone: this.down && this.#options.onStoreDown === 'share',
      ...{ limits, ramp: this.#host.ramp(), waiting, gone, dead: this.#dead },
      aheadMs: this.#reachMs,
      ...{ concurrent: this.#concurrent(), inFlight: this.#inFlight },
      permits: this.#inFlight + (this.gate.passable ? this.#demand.slots(waiting, LAW.aheadMs, now) : 0),
    })
    this.#books.write(question)
    this.#dead = []
    this.#resync = false
    const wants = gone || question.alone ? 0 : this.#wants(now)
    if (wants > 0) {
      const missing = this.#short ? this.#pool.missing(this.#short, now + this.#time.lagMs) : []
      question.each = this.#demand.each(
        this.#short ?? limits.map(({ key }) => (key.startsWith('requests/') ? 1 : 0)),
      )
      question.first = missing.length > 0 ? missing : question.each
      question.more = wants - 1
      question.everyMs = this.#demand.everyMs(now)
    }
    this.gate.say(question)
    return question
  }

  answered(question: LeaseRequest, answer: LeaseAnswer, sentAt: number, now: number): void {
    const before = this.#answer
    const forgot = before?.news.gen !== answer.news.gen
    const time = this.#time
    if (forgot || (before && Math.abs(before.base - answer.base) > 1)) this.#time = new StoreTime()
    this.#time.learn(sentAt, now, answer.now)
    this.#answer = answer
    const wasDown = this.down
    this.#contact.answered(sentAt, question.alone, now)
    if (!this.down) this.#island = undefined
    // Who has begun alone has gone by a time of its own; any other newborn has nothing to tell.
    const shiftMs = this.#time.toStore(now) - time.toStore(now)
    if (forgot && !Number.isNaN(shiftMs)) this.#retell(-Infinity, shiftMs)
    else if (answer.since !== undefined) {
      this.gate.rolledBack()
      this.#retell(answer.since, 0)
    }
    this.heard(answer.news, answer.now)
    answer.slots.forEach((at, k) => {
      const amounts = k === 0 ? question.first : question.each
      const usable = usableMs(question.limits, at, this.#host.inTree())
      this.#pool.put(amounts, Math.max(now, this.#time.toLocal(at)), at, usable, answer.now)
      this.#books.leased(amounts)
    })
    this.#permits = answer.permits
    this.#host.accepted(this.#books.others(answer.accepted))
    this.#dead = this.#options.gone(answer.suspects.filter((id) => id !== this.#options.id))
    this.#askAt = -Infinity
    if (answer.next >= 0) {
      const early = answer.aheadMs * (0.3 + 0.7 * this.#options.random())
      this.#askAt = this.#time.toLocal(answer.next) - early
    }
    // What a late answer brings is of no use to whom goes by another schedule already.
    if (this.#island) this.#void()
    if (!wasDown || this.down) return
    this.#resync = true
    this.#tell('up')
  }

  /** The store remembers nothing after `since`; its time is by so much later than it was. */
  #retell(since: number, shiftMs: number): void {
    const { now } = this.#answer!
    const held = this.#pool.untold(since, shiftMs, now)
    this.#books.retell(since, shiftMs, now, held)
    this.#resync = true
  }

  /** A question came to nothing, whether the store heard it or not; without one: it is out for long. */
  failed(question: LeaseRequest | undefined, error: unknown, now: number): void {
    if (question) {
      this.gate.unsay(question)
      this.#books.unanswered(question)
    }
    const wasDown = this.down
    this.#contact.failed(error, now)
    if (wasDown || !this.down) return
    this.#tell('down')
    if (this.refusal) this.#host.reject(error)
  }

  heard(news: StoreNews, storeNow: number): void {
    if (this.gate.heard(news, storeNow)) this.#void()
    if (this.#answer && news.gen !== this.#answer.news.gen) this.#resync = true
  }

  #tell(state: 'up' | 'down'): void {
    const processes = this.#answer?.processes ?? this.#options.processes
    const error = state === 'down' && { error: this.#contact.error }
    this.#host.tell({ state, ...(processes !== undefined && { processes }), ...error })
  }

  #void(): void {
    this.#pool.clear()
    this.#short = undefined
    this.#askAt = -Infinity
  }

  #wants(now: number): number {
    const held = this.#pool.holds(this.#demand.each(this.#short ?? []))
    // Who may have no more in flight must not hold what others could use: only those count who follow one that ends.
    const stuck = this.#permits >= 0 && this.full
    const short = !stuck && this.#short && this.#pool.missing(this.#short, now).length > 0 ? 1 : 0
    // The day of a quota is not known before the store has said what time it is.
    if (!this.#answer && this.#limits.some(({ timeZone }) => timeZone)) return 0
    const aheadMs = Math.max((this.#answer ?? LAW).aheadMs, this.#reachMs)
    return Math.max(short, this.#demand.slots(stuck ? 0 : this.#host.waiting(), aheadMs, now) - held)
  }

  /** So far ahead slots are useful: longer where answers take their time. */
  get #reachMs(): number {
    return LAW.aheadMs + Math.max(0, this.#time.lagMs - 20)
  }

  #concurrent(): number {
    const most = this.#host.maxConcurrent()
    return most === Infinity ? 0 : most
  }

  #wanted(now: number): WantedLimit[] {
    const storeNow = this.#time.toStore(now)
    return this.#host.limits(now).map((limit) => dayOf(limit, storeNow, this.#answer?.base))
  }
}
