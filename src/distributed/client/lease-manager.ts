// Manages the slots of one process: which it holds, when it requests more, what it returns, and how it continues
// when the store does not answer. Then it uses up the held slots, stays silent until the store has noticed (2 s),
// and then works with its own share. Pure: it is given the time, and `agent.ts` sends its requests.
//
// A store that has lost data (flushed, restarted, restored from an old copy) is told what was used in the last
// window and what is held. Held slots stay valid. The store leases nothing new until all slots leased before the
// loss are over or reported again.

import type { SharedLimit, StoreHost } from 'llmiter'
import { UsageJournal } from './usage-journal.ts'
import { Connectivity } from './connectivity.ts'
import { DemandForecast } from './demand-forecast.ts'
import { PartitionFallback } from './partition-fallback.ts'
import { LeasedSlots, usableMs } from './leased-slots.ts'
import {
  type LeaseAnswer,
  leaseRequest,
  LAW,
  type StoreNews,
  type LeaseRequest,
  type WantedLimit,
} from '../protocol.ts'
import { GateSync } from './gate-sync.ts'
import { ClockSync } from './clock-sync.ts'
import {
  BEAT_MS,
  IDLE_BEAT_MS,
  LATE_MS,
  LEAST_STAY_MS,
  MOST_SLOTS,
  REFILL_MS,
  type LeaseOptions,
  SILENCE_MS,
  STAY_MS,
  URGENT_MS,
} from './timing.ts'
import { dayOf } from './calendar-day.ts'
import { KeptShare } from './kept-share.ts'
import { StoreWarnings } from './store-warnings.ts'

/** JSON cannot express an infinite limit of calls in flight, so 0 means none. */
const orNone = (most: number) => (most === Infinity ? 0 : most)

export class LeaseManager {
  readonly gate: GateSync
  readonly warnings: StoreWarnings
  readonly #host: StoreHost
  readonly #options: LeaseOptions
  readonly #demand: DemandForecast
  #time = new ClockSync()
  readonly #connectivity = new Connectivity()
  readonly #keptShare = new KeptShare()
  /** How long the store at least reserves this process's share. */
  #keptMs = 0
  #limits: SharedLimit[]
  #slots!: LeasedSlots
  #journal!: UsageJournal
  #fallback: PartitionFallback | undefined
  #answer: LeaseAnswer | undefined
  #joined = false
  #inFlight = 0
  #permits = -1
  /** The store allowed fewer calls in flight here than this process asked for. */
  #crowded = false
  /** How many calls may be in flight in other processes. */
  #elsewhere = 0
  /** What to report to the store: calls that ended, and of those, the calls refused as too many at once. */
  #ended = 0
  #tooMany = 0
  #dead: string[] = []
  /** The cost of the first waiting call that did not fit. */
  #short: readonly number[] | undefined
  #askAt = -Infinity
  #single = false
  #resync = false
  /** When the limits were first reported to the store, by its clock. */
  #order = -1

  constructor(host: StoreHost, options: LeaseOptions) {
    this.#host = host
    this.#options = options
    this.gate = new GateSync(host, options.id)
    this.warnings = new StoreWarnings(host)
    this.#demand = new DemandForecast(options.random)
    this.#limits = []
    this.update(0)
  }

  get down(): boolean {
    return this.#connectivity.mode === 'down'
  }

  get timeoutMs(): number {
    return this.#connectivity.timeoutMs
  }

  /** Why calls are rejected now. Undefined if they are not. */
  get refusal(): { cause: unknown } | undefined {
    return this.down && this.#options.onStoreDown === 'reject'
      ? { cause: this.#connectivity.error }
      : undefined
  }

  update(now: number): void {
    const keys = this.#limits.map(({ key }) => key).join()
    const configured = this.#limits.map((limit) => limit.configured).join()
    this.#limits = this.#host.limits(now)
    if (configured !== this.#limits.map((limit) => limit.configured).join()) this.#order = -1
    this.#slots?.clear()
    if (!this.#journal || keys !== this.#limits.map(({ key }) => key).join())
      this.#journal = new UsageJournal(this.#limits)
    this.#slots = new LeasedSlots(this.#limits.length, (...change) => this.#journal.amend(...change))
    if (this.#fallback) this.#settleAlone(now)
  }

  at(amounts: readonly number[], now: number): number {
    if (this.down) return this.#alone(amounts, now)
    const at = this.full ? Infinity : this.#slots.at(amounts, now)
    this.#short = at === Infinity ? amounts : undefined
    return at
  }

  /** Whether no further call may be in flight here. */
  get full(): boolean {
    return this.#permits >= 0 ? this.#inFlight >= this.#permits : !this.#answer && this.#concurrent() > 0
  }

  /** The maximum number of calls in flight over all processes, if it leaves no room here. */
  get crowdedAt(): number | undefined {
    if (this.down || !this.full || !this.#crowded) return undefined
    return Math.min(this.#host.maxConcurrent(), this.gate.most)
  }

  get inFlightElsewhere(): number {
    return this.down ? 0 : this.#elsewhere
  }

  /**
   * The provider refused a call as too many at once, and the call still counts here. Returns false if no store can
   * inform the others.
   */
  tooMany(): boolean {
    if (this.down || !this.#answer) return false
    this.#tooMany++
    this.#allow(this.#inFlight - 1)
    return true
  }

  /** Allows at most this many calls in flight until the store sets a number. */
  #allow(most: number): void {
    this.#permits = Math.min(most, this.#permits < 0 ? Infinity : this.#permits)
  }

  #alone(amounts: readonly number[], now: number): number {
    const at = this.#slots.at(amounts, now)
    if (at < Infinity) return at
    if (this.#options.onStoreDown !== 'share') return Infinity
    const { processes } = this.#options
    const ends = processes === undefined ? this.#connectivity.renewedAt + this.#keptMs - SILENCE_MS : Infinity
    if (now >= ends) {
      if (this.#answer) this.warnings.expired(this.#keptMs - SILENCE_MS, this.#connectivity.error)
      return Infinity
    }
    if (!this.#fallback) {
      const from = this.#answer
        ? this.#connectivity.at + SILENCE_MS + 1.5 * this.#connectivity.slowestMs
        : now
      if (now < from) return from
      this.#settleAlone(now)
    }
    const fits = this.#time.toLocal(this.#fallback!.at(amounts, this.#inFlight, this.#time.toStore(now)))
    return fits < ends ? fits : Infinity
  }

  /** Continues with its own share. */
  #settleAlone(now: number): void {
    if (!this.#answer) this.#time.learn(now, now, this.#host.clock.wall())
    const { processes = 1, random } = this.#options
    const { used = [], early = [], rank = Math.floor(random() * processes) } = this.#answer ?? {}
    const known = Math.max(processes, this.#answer?.processes ?? 1)
    // If the provider accepts no calls of a process, only the process itself can find out.
    const concurrent = Math.min(this.#host.maxConcurrent(), Math.max(known, this.gate.most))
    const options = { limits: this.#followed(now), used, early, rank, concurrent: orNone(concurrent) }
    this.#fallback = new PartitionFallback({ ...options, processes: known }, this.#time.toStore(now))
  }

  take(amounts: readonly number[], now: number): void {
    const at = this.#time.toStore(now)
    const held = this.#slots.at(amounts, now) <= now
    if (held) this.#slots.take(amounts, at)
    else this.#fallback?.take(amounts, at)
    this.#inFlight++
    this.#demand.went(amounts, now)
    this.#keptShare.uses(amounts, this.#limits, this.#answer?.processes ?? 1)
    const told = held ? this.#answer?.now : undefined
    this.#journal.went(amounts, at, told)
  }

  settle(differences: readonly number[], takenAt: number, refused: readonly number[]): void {
    this.#inFlight--
    this.#ended++
    const at = this.#time.toStore(takenAt)
    if (refused.length > 0) this.gate.refusedSentAt = at
    this.#journal.refused(refused)
    differences.forEach((difference, i) => {
      if (difference !== 0) this.#journal.amend(i, at, difference)
    })
    this.#fallback?.amend(differences)
  }

  /** Evidence from other processes decides whether a refusal is more than chance. They are asked if there are any. */
  defer(judge: () => void): boolean {
    if (this.down || !this.#answer || this.#answer.processes === 1) return false
    this.gate.defer(judge)
    return true
  }

  /** Whether this process may probe now, by itself. Otherwise it asks the store for its turn. */
  claim(): boolean {
    return this.gate.claim(this.#worksAlone)
  }

  /** Whether this process works with its own share, since the store does not answer. */
  get #worksAlone(): boolean {
    return this.down && this.#options.onStoreDown === 'share'
  }

  /** When the next request is due. `Infinity` if none is. */
  dueAt(now: number): number {
    const waiting = this.#host.waiting()
    const leastMs = Math.min((this.#answer?.aheadMs ?? 0) / LAW.reserve, LAW.missingMs - 250)
    const active = waiting > 0 || this.#inFlight > 0 || now - this.#demand.lastWentAt < 1000
    const inLine = this.#host.inLine() > 0
    if (this.down) return active || inLine || this.#joined ? this.#connectivity.retryAt : Infinity
    if (!this.#joined) return inLine ? this.#demand.mayAskAt(now, 0) : Infinity
    let due = this.#demand.askedAt + Math.max(leastMs, active ? BEAT_MS : IDLE_BEAT_MS)
    if (this.#resync || !this.#answer) return Math.max(now, this.#demand.askedAt + URGENT_MS)
    if (this.gate.urgent || this.#tooMany > 0) {
      const opens = this.gate.claimable ? this.#time.toLocal(this.gate.until) : now
      due = Math.min(due, Math.max(now, opens, this.#demand.askedAt + URGENT_MS))
    }
    if (!this.gate.passable) return due
    const may = this.#demand.mayAskAt(now, leastMs)
    if (waiting > 0 && this.#short && (this.full || this.#slots.at(this.#short, now) === Infinity))
      due = Math.min(due, Math.max(may, this.#askAt))
    else if (this.#wants(now) > this.#demand.slots(0, this.#aheadMs, now) / 2)
      due = Math.min(due, Math.max(may, this.#askAt, this.#demand.askedAt + REFILL_MS))
    return due
  }

  /** Whether the process has been idle long enough to leave. */
  idle(now: number): boolean {
    const stayMs = Math.min(STAY_MS, Math.max(LEAST_STAY_MS, this.#keptShare.workedMs(now)))
    return this.#host.inLine() === 0 && this.#inFlight === 0 && now - this.#demand.lastWentAt > stayMs
  }

  request(now: number, gone = false): LeaseRequest {
    const waiting = this.#host.waiting()
    this.#demand.asking(now, (this.#answer?.processes ?? 1) === 1, !this.#resync)
    // A process that left has returned its whole share, so a new store treats it as new.
    const known = this.#joined ? (this.#answer?.processes ?? 0) : 0
    this.#joined = !gone
    this.#keptShare.asks(now)
    const alone = this.#worksAlone
    const keepMs = this.#keepMs(gone, alone, now)
    this.#keptMs = Math.min(this.#keptMs, keepMs)
    this.#slots.expire(now)
    if (gone) this.#slots.clear()
    const limits = this.#wanted(now)
    if (this.#answer) this.#journal.remind(Infinity, this.#time.toStore(now))
    const request = leaseRequest({
      ...{ id: this.#options.id, gen: this.#answer?.news.gen ?? '', heard: this.#answer?.now ?? -1, known },
      ...{ alone, keepMs, sentAt: this.#answer ? this.#time.toStore(now) : -1 },
      ...{ limits, order: this.#order, ramp: this.#host.ramp(), waiting, gone, dead: this.#dead },
      ...{
        fromMs: this.#fromMs,
        aheadMs: this.#reachMs,
        heldMs: Math.max(LAW.spareMs + LAW.aheadMs, this.#answer?.reachMs ?? 0),
        lagMs: this.#connectivity.slowestMs,
      },
      declared: this.#options.processes ?? 0,
      ...{ concurrent: this.#concurrent(), inFlight: this.#inFlight },
      permits: this.#inFlight + (this.gate.passable ? this.#demand.slots(waiting, LAW.aheadMs, now) : 0),
    })
    this.#journal.write(request)
    ;[request.ended, this.#ended] = [this.#ended, 0]
    ;[request.tooMany, this.#tooMany] = [this.#tooMany, 0]
    this.#dead = []
    this.#resync = false
    const wants = gone || request.alone ? 0 : this.#wants(now)
    if (wants > 0) {
      const missing = this.#short ? this.#slots.missing(this.#short, now + this.#time.lagMs) : []
      request.each = this.#demand.each(
        this.#short ?? limits.map(({ key }) => (key.startsWith('requests/') ? 1 : 0)),
      )
      request.lot = this.#single ? 1 : this.#lot(wants, limits, request.each)
      request.each = request.each.map((amount) => amount * request.lot)
      request.first = missing.length > 0 ? missing : request.each
      request.more = Math.ceil(wants / request.lot) - 1
    }
    this.gate.write(request)
    return request
  }

  answered(request: LeaseRequest, answer: LeaseAnswer, sentAt: number, now: number): void {
    const before = this.#answer
    const forgot = before?.news.gen !== answer.news.gen
    const time = this.#time
    if (forgot || (before && Math.abs(before.base - answer.base) > 1)) this.#time = new ClockSync()
    this.#time.learn(sentAt, now, answer.now)
    this.#answer = answer
    // An update may have happened while this request was out.
    if (request.limits.every(({ configured }, i) => configured === this.#limits[i]?.configured))
      this.#order = answer.order
    this.warnings.answered(request, answer)
    const wasDown = this.down
    this.#connectivity.answered(sentAt, request.alone, now)
    this.#keptMs = request.keepMs
    if (!this.down) this.#fallback = undefined
    else this.#fallback?.share(Math.max(answer.processes, this.#options.processes ?? 1), answer.rank)
    // A process that began alone used its own schedule. Any other new process has nothing to report.
    const shiftMs = this.#time.toStore(now) - time.toStore(now)
    if (forgot && !Number.isNaN(shiftMs)) this.#retell(-Infinity, shiftMs)
    else if (answer.since !== undefined) {
      this.gate.rolledBack()
      this.#retell(answer.since, 0)
    }
    this.gate.learns(answer.evidence, forgot || answer.since !== undefined)
    this.heard(answer.news, answer.now)
    this.gate.answered(request)
    answer.slots.forEach((at, k) => {
      const amounts = k === 0 ? request.first : request.each
      const spare = k * request.lot >= request.waiting
      const localAt = Math.max(now, this.#time.toLocal(at))
      const usable = spare ? LAW.spareMs : usableMs(request.limits, at, this.#host.inTree())
      this.#slots.put(amounts, {
        at: localAt,
        storeAt: spare ? at + LAW.spareMs : at,
        until: spare ? this.#time.toLocal(at) + usable : localAt + usable,
        told: answer.now,
      })
      this.#journal.leased(amounts)
    })
    // The rest of a quota may be less than a lot.
    this.#single = request.lot > 1 && answer.slots.length === 0
    this.#permits = answer.permits
    this.#crowded = answer.permits < request.permits
    this.#elsewhere = answer.permitted - Math.max(request.inFlight, answer.permits)
    if (this.#tooMany > 0) this.#allow(this.#inFlight)
    this.#host.accepted(this.#journal.others(answer.accepted))
    this.#dead = this.#options.gone(answer.suspects.filter((id) => id !== this.#options.id))
    this.#askAt = -Infinity
    if (answer.next >= 0) {
      const late = LATE_MS * this.#options.random()
      this.#askAt = this.#time.toLocal(answer.next) - this.#time.lagMs / 2 + late
    }
    // Slots of a late answer are useless to a process that already follows another schedule.
    if (this.#fallback) this.#void()
    if (!wasDown || this.down) return
    this.#resync = true
    this.warnings.tell('expired')
    this.#host.tell({ state: 'up', processes: answer.processes })
  }

  /** The store remembers nothing after `since`, and its time is ahead by `shiftMs`. */
  #retell(since: number, shiftMs: number): void {
    const { now } = this.#answer!
    const held = this.#slots.untold(since, shiftMs, now)
    this.#journal.retell(since, shiftMs, now, held)
    this.#resync = true
  }

  /** A request failed, whether or not the store received it. Without a request: it has been out for too long. */
  failed(request: LeaseRequest | undefined, error: unknown, now: number): void {
    if (request) {
      this.gate.unanswered(request)
      this.#journal.unanswered(request)
      this.#ended += request.ended
      this.#tooMany += request.tooMany
    }
    const wasDown = this.down
    this.#connectivity.failed(error, now)
    if (wasDown || !this.down) return
    const { processes } = this.#answer ?? this.#options
    this.#host.tell({ state: 'down', ...(processes !== undefined && { processes }), error })
    if (this.refusal) this.#host.reject(error)
  }

  heard(news: StoreNews, storeNow: number): void {
    if (this.gate.heard(news, storeNow)) this.#void()
    if (this.gate.most < Infinity && this.#permits < 0) this.#allow(this.#inFlight)
    if (this.#answer && news.gen !== this.#answer.news.gen) this.#resync = true
  }

  #void(): void {
    this.#slots.clear()
    this.#short = undefined
    this.#askAt = -Infinity
  }

  /**
   * Keeps the share of a process that can ask but is too far from the store to be leased slots, or that was
   * promised a share.
   */
  #keepMs(gone: boolean, alone: boolean, now: number): number {
    if (gone) return 0
    if (alone || this.#options.processes !== undefined) return LAW.keptMs
    return this.#answer ? this.#keptShare.keepMs(this.#time.toStore(now), now) : 0
  }

  /**
   * How many calls share one slot, so that the rate over the horizon needs no more than the maximum number of
   * slots.
   */
  #lot(wants: number, limits: readonly WantedLimit[], each: readonly number[]): number {
    const spacings = limits.map(({ paced, rate }, i) => (paced ? (each[i] ?? 0) / rate : 0))
    return Math.ceil(Math.min(wants, this.#aheadMs / Math.max(...spacings)) / MOST_SLOTS)
  }

  #wants(now: number): number {
    const held = this.#slots.holds(this.#demand.each(this.#short ?? []), now, now + BEAT_MS)
    // A process that may have no more calls in flight must not hold slots others could use. Only calls that
    // replace an ending one count.
    const stuck = this.#permits >= 0 && this.full
    const short = !stuck && this.#short && this.#slots.missing(this.#short, now).length > 0 ? 1 : 0
    // The day of a quota is unknown until the store has reported its time.
    if (!this.#answer && this.#limits.some(({ timeZone }) => timeZone)) return 0
    return Math.max(short, this.#demand.slots(stuck ? 0 : this.#host.waiting(), this.#aheadMs, now) - held)
  }

  get #aheadMs(): number {
    return Math.max((this.#answer ?? LAW).aheadMs, this.#reachMs)
  }

  /** How far ahead slots are useful: further if answers are slow. */
  get #reachMs(): number {
    return LAW.aheadMs + Math.max(0, this.#time.lagMs - 20) + this.#fromMs
  }

  /** How long the answer takes. Slots that are due before it arrives are not requested. */
  get #fromMs(): number {
    return Math.max(0, 0.6 * this.#time.lagMs - 20)
  }

  #concurrent(): number {
    return orNone(this.#host.maxConcurrent())
  }

  /** The limits of the newest process, as far as the store has reported them. */
  #followed(now: number): WantedLimit[] {
    return this.#wanted(now).map((limit, i) => {
      const scale = (this.#answer?.followed[i] ?? limit.configured) / limit.configured
      return { ...limit, amount: limit.amount * scale, rate: limit.rate * scale }
    })
  }

  #wanted(now: number): WantedLimit[] {
    const storeNow = this.#time.toStore(now)
    return this.#host.limits(now).map((limit) => dayOf(limit, storeNow, this.#answer?.base))
  }
}
