// One gate for all processes. Each limiter has its own gate and looks after it as if it were alone; here it is told what
// others have met, and what it meets is told to the others. Of all who want to probe, the store permits one.

import type { Gate, Learned, StoreHost } from 'llmiter'
import type { GateReport, StoreNews, LeaseRequest } from '../protocol.ts'

export class SharedGate {
  readonly #host: StoreHost
  readonly #id: string
  #news: StoreNews | undefined
  #close: GateReport | undefined
  #claims = false
  #opens = false
  #retreats = false
  /** The gate closes only for others to probe: no refusal did it. */
  #rests = false
  /** The cut that is to come is our own: the limiter has seen it already. */
  #own = false
  #lesson: Record<string, Learned> | undefined
  /** What the limiter says now is only what it was told. */
  #echo = false
  /** When the call that was refused last had left, by the store's clock. */
  refusedSentAt = 0

  constructor(host: StoreHost, id: string) {
    this.#host = host
    this.#id = id
  }

  /** Whether there is something to say at once. */
  get urgent(): boolean {
    return (this.#close ?? this.#lesson) !== undefined || this.#opens || this.#retreats || this.claimable
  }

  get claimable(): boolean {
    return this.#claims && this.#news?.gate !== 'probing'
  }

  /** When the gate may be probed, by the store's clock. */
  get until(): number {
    return this.#news?.gate === 'closed' ? this.#news.until : 0
  }

  /** Whether the store leases slots to this process. */
  get passable(): boolean {
    return this.#news === undefined || this.#news.gate === 'open' || this.mine
  }

  /** Whether this process is the one that probes. */
  get mine(): boolean {
    return this.#news?.gate === 'probing' && this.#news.by === this.#id
  }

  /** The limiter's own gate moved. */
  moved(gate: Gate, blamed: readonly string[], now: number): void {
    if (this.#echo || (this.#rests && gate.state === 'closed')) return
    if (gate.state === 'closed') {
      this.#claims = this.#opens = false
      this.#own = true
      this.#close = { kind: gate.kind, forMs: gate.until - now, sentAt: this.refusedSentAt, blamed }
    } else if (gate.state === 'open' && this.mine) this.#opens = true
  }

  claim(): void {
    this.#claims = true
  }

  learned(now: number): void {
    if (!this.#echo) this.#lesson = this.#host.learned(now)
  }

  /** Nobody waits here to be the probe, or to follow it: what is known by now decides, else another finds out. */
  rest(): void {
    if (!this.mine) return
    this.#rests = true
    const state = this.#host.retreat(false)
    this.#rests = false
    if (state === 'open' || state === 'spent') this.#opens = true
    else if (state === 'closed' && !this.#close) this.#retreats = true
  }

  /** What is to be said is said with this question. */
  say(question: LeaseRequest): void {
    if (this.#close) question.close = this.#close
    if (this.#claims) question.claim = true
    if (this.#opens) question.open = true
    if (this.#retreats) question.retreat = true
    if (this.#lesson) question.learned = this.#lesson
    this.#close = this.#lesson = undefined
    this.#opens = this.#retreats = false
  }

  /** A question went unanswered: what it said is said again. */
  unsay({ close, open, retreat, learned }: LeaseRequest): void {
    this.#close ??= close
    this.#lesson ??= learned
    if (open) this.#opens = true
    if (retreat) this.#retreats = true
  }

  /** Alone, this process may probe by itself. */
  alone(): void {
    if (!this.#claims) return
    this.#claims = false
    this.#told(() => this.#host.permit())
  }

  /** What all processes hear. True when a new epoch voids what is held; a new state whose gate is open does not. */
  heard(news: StoreNews, storeNow: number): boolean {
    const before = this.#news
    // Answers and what is published overtake each other.
    if (before && before.gen === news.gen && news.seq < before.seq) return false
    this.#news = news
    if (news.lesson > 0 && (news.gen !== before?.gen || news.lesson !== before.lesson))
      this.#told(() => this.#host.adopt(news.learned))
    const cut = before ? news.gen !== before.gen || news.epoch !== before.epoch : news.gate !== 'open'
    const own = this.#own
    if (cut) this.#own = false
    if (cut && news.gate !== 'open' && !this.mine && !own) {
      const blamed = Array.isArray(news.blamed) ? news.blamed : []
      const waitMs = Math.max(0, news.until - storeNow)
      this.#told(() => this.#host.hold(news.kind, waitMs, blamed))
    }
    if (!this.mine) this.#opens = this.#retreats = false
    // Out of reach for a while, this process went its own way: now it is held as all are, and claims as they do.
    if (!this.mine && news.gate !== 'open') this.#told(() => this.#host.retreat(true))
    if (this.mine && this.#claims) {
      this.#claims = this.#retreats = false
      this.#told(() => this.#host.permit())
    } else if (news.gate === 'open' && (this.#claims || (before !== undefined && before.gate !== 'open'))) {
      this.#claims = false
      this.#told(() => this.#host.open())
    }
    return cut && (news.gen === before?.gen || news.gate !== 'open')
  }

  /** The store has gone back in time: what it says next is the truth. */
  rolledBack(): void {
    if (this.#news) this.#news = { ...this.#news, seq: 0 }
  }

  #told(tell: () => void): void {
    this.#echo = true
    try {
      tell()
    } finally {
      this.#echo = false
    }
  }
}
