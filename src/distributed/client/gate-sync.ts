// Keeps one gate for all processes. Each limiter has its own gate and manages it as if it were alone. This code
// tells it what other processes observed, and tells them what it observed. The store lets one process probe at a
// time.

import type { Closing, Evidence, Gate, Learned, StoreHost } from 'llmiter'
import type { GateReport, LeaseRequest, QuotaReport, StoreNews } from '../protocol.ts'

/** What this process wants to do with the shared gate. */
type GateIntent =
  | { want: 'nothing' }
  /** To send the probe. */
  | { want: 'probe' }
  /** As the prober: to open the gate for all processes, because the provider accepts calls again. */
  | { want: 'open' }
  /** As the prober: to let another process probe. */
  | { want: 'hand-over' }

/** A refusal observed here, until the store has answered. */
interface PendingReport {
  readonly report: GateReport
  sent: boolean
}

/** What moves the limiter's gate: the limiter itself, the store, or a prober without further calls. */
type GateMover = 'limiter' | 'store' | 'idle-prober'

const minus = (all: Evidence, some: Evidence): Evidence => ({
  passing: all.passing,
  tickets: all.tickets - some.tickets,
  refusals: all.refusals - some.refusals,
})

const NOTHING: GateIntent = { want: 'nothing' }

export class GateSync {
  readonly #host: StoreHost
  readonly #id: string
  #news: StoreNews | undefined
  #intent: GateIntent = NOTHING
  #pending: PendingReport | undefined
  #lesson: Record<string, Learned> | undefined
  #mover: GateMover = 'limiter'
  /** Refusals observed here that are not judged yet: those not reported to the store, and those reported. */
  #refused: (() => void)[] = []
  #judging: (() => void)[] = []
  #refusals = 0
  /** Whether the quota is used up, and what to report to the store about it. */
  #spent = false
  #quota: QuotaReport | undefined
  /** The evidence reported to the store, and the evidence of other processes that was received. */
  #ours: Evidence = { tickets: 0, refusals: 0, passing: false }
  #others: Evidence | undefined
  /** When the last refused call was sent, by the store's clock. */
  refusedSentAt = 0

  constructor(host: StoreHost, id: string) {
    this.#host = host
    this.#id = id
  }

  /** Whether something must be reported to the store immediately. */
  get urgent(): boolean {
    const { want } = this.#intent
    const unsent =
      this.#pending?.sent === false ||
      this.#lesson !== undefined ||
      this.#refused.length > 0 ||
      this.#quota !== undefined
    return unsent || want === 'open' || want === 'hand-over' || this.claimable
  }

  /** Whether this process waits for its turn to probe, and no other process probes. */
  get claimable(): boolean {
    return this.#intent.want === 'probe' && this.#news?.gate !== 'probing'
  }

  /** When the gate may be probed, by the store's clock. */
  get until(): number {
    return this.#news?.gate === 'closed' ? this.#news.until : 0
  }

  /** The maximum number of calls in flight over all processes, learned from refusals. */
  get most(): number {
    return this.#news?.most || Infinity
  }

  /** Whether the store leases slots to this process. */
  get passable(): boolean {
    return this.#news === undefined || this.#news.gate === 'open' || this.mine
  }

  /** Whether this process is the prober. */
  get mine(): boolean {
    return this.#news?.gate === 'probing' && this.#news.by === this.#id
  }

  /** The limiter's own gate changed. */
  moved(gate: Gate, closing: Closing, now: number): void {
    if (gate.state === 'spent') this.#spent = true
    else if (this.#spent) {
      this.#spent = false
      if (this.#mover !== 'store') this.#quota = { forMs: 0, known: true }
    }
    if (this.#mover === 'store') return
    if (gate.state === 'closed' && this.#mover === 'limiter') {
      this.#intent = NOTHING
      const report = { closing, forMs: gate.until - now, sentAt: this.refusedSentAt }
      this.#pending = { report, sent: false }
    } else if (gate.state === 'open' && this.mine) this.#intent = { want: 'open' }
  }

  /** The provider reported a used-up quota. */
  spend(forMs: number, known: boolean): void {
    this.#quota = { forMs, known }
  }

  /** The limiter wants to probe. Returns whether it may: `alone`, that is without the store. */
  claim(alone: boolean): boolean {
    this.#intent = alone ? NOTHING : { want: 'probe' }
    return alone
  }

  learned(now: number): void {
    if (this.#mover !== 'store') this.#lesson = this.#host.learned(now)
  }

  /** No call waits here to be the probe or to follow it. So current knowledge decides, or another process probes. */
  rest(): void {
    if (!this.mine) return
    const state = this.#moving('idle-prober', () => this.#host.retreat(false))
    if (state === 'open' || state === 'spent') this.#intent = { want: 'open' }
    else if (state === 'closed' && !this.#pending) this.#intent = { want: 'hand-over' }
  }

  /** Adds to this request what must be reported. A claim is repeated until it is granted. */
  write(request: LeaseRequest): void {
    const { want } = this.#intent
    if (want === 'probe') request.claim = true
    else if (want === 'open') request.open = true
    else if (want === 'hand-over') request.retreat = true
    if (want !== 'probe') this.#intent = NOTHING
    if (this.#pending?.sent === false) {
      request.close = this.#pending.report
      this.#pending.sent = true
    }
    const all = { ...this.#host.met(), refusals: this.#refusals }
    request.evidence = minus(all, this.#ours)
    this.#ours = all
    this.#judging.push(...this.#refused)
    this.#refused = []
    if (this.#quota) request.quota = this.#quota
    this.#quota = undefined
    if (this.#lesson) request.learned = this.#lesson
    this.#lesson = undefined
  }

  /**
   * Receives the evidence of all processes. Calls and refusals of other processes are judged like those of this
   * one.
   */
  learns(all: Evidence, anew: boolean): void {
    const others = minus(all, this.#ours)
    const { tickets, refusals, passing } = minus(others, anew ? others : (this.#others ?? others))
    this.#others = others
    this.#host.heard({ tickets: Math.max(0, tickets), refusals: Math.max(0, refusals), passing })
  }

  /** The store has received this request. If its cut said nothing new, no news about it will follow. */
  answered({ close }: LeaseRequest): void {
    if (close && this.#pending?.report === close) this.#pending = undefined
    this.#judge()
  }

  #judge(): void {
    for (const judge of this.#judging.splice(0)) judge()
  }

  /** A call was refused here. It is judged once the store has reported about the other processes. */
  defer(judge: () => void): void {
    this.#refusals++
    this.#refused.push(judge)
  }

  /** A request was lost, so its reports are repeated. */
  unanswered({ close, open, retreat, learned, quota }: LeaseRequest): void {
    if (close && this.#pending?.report === close) this.#pending.sent = false
    this.#lesson ??= learned
    this.#quota ??= quota
    this.#judge()
    if (this.#intent.want !== 'nothing') return
    if (open) this.#intent = { want: 'open' }
    else if (retreat) this.#intent = { want: 'hand-over' }
  }

  /**
   * Handles news for all processes. Returns true if a new epoch voids the held slots. A new state with an open
   * gate does not.
   */
  heard(news: StoreNews, storeNow: number): boolean {
    const before = this.#news
    // An answer and published news can arrive in either order.
    if (before && before.gen === news.gen && news.seq < before.seq) return false
    this.#news = news
    if (news.lesson > 0 && (news.gen !== before?.gen || news.lesson !== before.lesson))
      this.#told(() => this.#host.adopt(news.learned))
    const cut = before ? news.gen !== before.gen || news.epoch !== before.epoch : news.gate !== 'open'
    // The limiter already knows of a cut by itself.
    const own = this.#pending !== undefined
    if (cut && this.#pending?.sent) this.#pending = undefined
    if (cut && this.#others) this.#others = { ...this.#others, refusals: news.refusals - this.#ours.refusals }
    if (cut && news.gate !== 'open' && !this.mine && !own) {
      const waitMs = Math.max(0, news.until - storeNow)
      this.#told(() => this.#host.hold(news.closing, waitMs))
    }
    if (this.mine) this.#startProbe()
    else this.#follow(news, before)
    this.#followQuota(news, before, storeNow)
    return cut && (news.gen === before?.gen || news.gate !== 'open')
  }

  /** The store has lost recent state, so its next news counts, whatever its number. */
  rolledBack(): void {
    if (this.#news) this.#news = { ...this.#news, seq: 0 }
  }

  #startProbe(): void {
    if (this.#intent.want !== 'probe') return
    this.#intent = NOTHING
    this.#told(() => this.#host.permit())
  }

  #followQuota({ quota }: StoreNews, before: StoreNews | undefined, storeNow: number): void {
    if (quota.by === this.#id || this.#quota || quota.until === (before?.quota.until ?? 0)) return
    const waitMs = quota.until - storeNow
    if (waitMs > 0) this.#told(() => this.#host.spend(waitMs, quota.known))
    else if (this.#spent && (quota.known || quota.until === 0)) this.#told(() => this.#host.restore())
  }

  #follow(news: StoreNews, before: StoreNews | undefined): void {
    const claims = this.#intent.want === 'probe'
    if (!claims) this.#intent = NOTHING
    if (news.gate !== 'open') {
      // A process that was cut off may have opened its gate. It is closed again, and the process claims the probe
      // like the others.
      this.#told(() => this.#host.retreat(true))
    } else if (claims || (before !== undefined && before.gate !== 'open')) {
      this.#intent = NOTHING
      this.#told(() => this.#host.open())
    }
  }

  /** The limiter follows the store. Its gate changes, but that is not reported as news. */
  #told(tell: () => unknown): void {
    this.#moving('store', tell)
  }

  #moving<Result>(mover: GateMover, move: () => Result): Result {
    const before = this.#mover
    this.#mover = mover
    try {
      return move()
    } finally {
      this.#mover = before
    }
  }
}
