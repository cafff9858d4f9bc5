// Connects a limiter to its store: sends the requests of its lease manager at the times that the manager sets, one
// at a time.

import type { Closing, Gate, SharedSlots, StoreHost } from 'llmiter'
import { LeaseManager } from './lease-manager.ts'
import { beforeExit } from './process-liveness.ts'
import type { StoreTransport, LeaseRequest } from '../protocol.ts'
import type { LeaseOptions } from './timing.ts'

/** After a request has been late for this long, another one may be sent. */
const LOST_MS = 4000
const FAREWELL_MS = 1000

export class FleetAgent implements SharedSlots {
  readonly #host: StoreHost
  readonly #transport: StoreTransport
  readonly #lease: LeaseManager
  #out: { readonly request: LeaseRequest; readonly sentAt: number; late: boolean } | undefined
  #forget: (() => void) | undefined
  #dueAt = Infinity
  #stirred = false
  #unlisten: (() => void) | undefined
  #stay: (() => void) | undefined
  #release: (() => void) | undefined
  #stopped = false

  constructor(host: StoreHost, transport: StoreTransport, options: LeaseOptions) {
    this.#host = host
    this.#transport = transport
    this.#lease = new LeaseManager(host, options)
  }

  get full(): boolean {
    return this.#lease.full
  }

  get crowdedAt(): number | undefined {
    return this.#lease.crowdedAt
  }

  get down(): boolean {
    return this.#lease.down
  }

  get inFlightElsewhere(): number {
    return this.#lease.inFlightElsewhere
  }

  tooMany(): boolean {
    const told = this.#lease.tooMany()
    this.#stir()
    return told
  }

  at(amounts: readonly number[], now: number): number {
    const at = this.#lease.at(amounts, now)
    this.#stir()
    return at
  }

  take(amounts: readonly number[], now: number): void {
    this.#lease.take(amounts, now)
  }

  settle(differences: readonly number[], takenAt: number, refused: readonly number[]): void {
    this.#lease.settle(differences, takenAt, refused)
    this.#stir()
  }

  crowd(): void {
    this.#stir()
  }

  defer(judge: () => void): boolean {
    const deferred = this.#lease.defer(judge)
    this.#stir()
    return deferred
  }

  gate(gate: Gate, closing: Closing, now: number): void {
    this.#lease.gate.moved(gate, closing, now)
    this.#stir()
  }

  spend(forMs: number, known: boolean): void {
    this.#lease.gate.spend(forMs, known)
    this.#stir()
  }

  claim(): boolean {
    const alone = this.#lease.claim()
    this.#stir()
    return alone
  }

  learned(now: number): void {
    this.#lease.gate.learned(now)
    this.#stir()
  }

  update(now: number): void {
    this.#lease.update(now)
    this.#stir()
  }

  refusal(): { cause: unknown } | undefined {
    return this.#lease.refusal
  }

  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#forget?.()
    const close = () => this.#transport.close()
    if (!this.#unlisten) close()
    else {
      // Sends a goodbye first.
      this.#host.clock.setTimer(close, FAREWELL_MS, false)
      this.#leave(close)
    }
  }

  /** Combines everything that happens at one moment into one request. */
  #stir(): void {
    if (this.#stirred || this.#stopped) return
    this.#stirred = true
    queueMicrotask(() => {
      this.#stirred = false
      this.#look()
    })
  }

  #look(): void {
    if (this.#stopped) return
    const now = this.#host.now()
    if (this.#host.waiting() === 0) this.#lease.gate.rest()
    if (this.#unlisten && this.#lease.idle(now) && !this.#out) {
      this.#leave()
      return
    }
    const sentAt = this.#out?.sentAt ?? -Infinity
    const [lateAt, lostAt] = [sentAt + this.#lease.timeoutMs, sentAt + this.#lease.timeoutMs + LOST_MS]
    if (this.#out && !this.#out.late && now >= lateAt) this.#late(this.#out, now)
    const due = [lateAt, lostAt].find((at) => now < at) ?? this.#lease.dueAt(now)
    if (due <= now) this.#ask(now)
    else this.#arm(due)
  }

  #arm(due: number): void {
    if (due === this.#dueAt && this.#forget) return
    this.#forget?.()
    this.#forget = undefined
    this.#dueAt = due
    if (due === Infinity) return
    this.#forget = this.#host.later(due, () => {
      this.#forget = undefined
      this.#look()
    })
  }

  #ask(now: number): void {
    this.#unlisten ??= this.#transport.listen(
      (news, storeNow) => {
        if (this.#stopped) return
        this.#lease.heard(news, storeNow)
        this.#host.look()
        this.#stir()
      },
      (why) => this.#lease.warnings.tell('foreign-data', why),
    )
    this.#stay ??= beforeExit(() => this.#exit())
    const request = this.#lease.request(now)
    const out = { request, sentAt: now, late: false }
    this.#out = out
    this.#transport.ask(request, (error, answer) => {
      if (this.#stopped) return
      if (this.#out === out) this.#out = undefined
      this.#release?.()
      const then = this.#host.now()
      if (answer) this.#lease.answered(request, answer, now, then)
      else this.#lease.failed(request, error, then)
      this.#host.look()
      this.#stir()
    })
    this.#stir()
  }

  /** Called once per request. Otherwise every new call would delay the next attempt. */
  #late(out: { late: boolean }, now: number): void {
    out.late = true
    const wasDown = this.#lease.down
    this.#lease.failed(
      undefined,
      new Error(`no answer from the store for ${Math.round(this.#lease.timeoutMs)} ms`),
      now,
    )
    if (!wasDown) this.#host.look()
  }

  /** The process is about to exit. Keeps it alive until the store has received its goodbye, if it answers. */
  #exit(): void {
    if (this.#lease.down) return
    const release = this.#host.clock.setTimer(() => {}, FAREWELL_MS, true)
    // After the answer, the process is about to exit again.
    if (this.#out) this.#release = release
    else this.#leave(release)
  }

  /** Returns everything and leaves. */
  #leave(then = () => {}): void {
    if (!this.#unlisten) return
    this.#unlisten()
    this.#unlisten = undefined
    this.#stay?.()
    this.#stay = undefined
    this.#forget?.()
    this.#forget = undefined
    this.#transport.ask(this.#lease.request(this.#host.now(), true), then)
  }
}
