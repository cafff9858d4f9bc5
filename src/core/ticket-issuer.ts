// The ticket issuer: the parts of one limiter as one machine. (state, event, now) → decisions.
//
// A new call comes in by `pass` if nobody waits and there is room, else by `enqueue`. `next` hands out one ticket, or
// none and then `wakeAt` says when to ask again. A ticket ends in one of four ways: `finish` (the provider answered),
// `refuse` (back to its place in the queue), `lose` (nobody knows what became of it) or `release` (never sent). `cancel`
// takes a call out of the line. Only the issuer changes the state of a call.
// The issuer reports its other decisions (the gate moved, a rate was learned, a probe is wanted) to `notify`.
//
// Issuers form a tree: an account over its models. A ticket needs room in its own issuer and in every one
// above, all or none. The root asks its children in fair turns, and the shell asks only the root.

import type { Bucket } from './limit/gcra.ts'
import type { Used } from './cost.ts'
import { LimitSet, type LimitSetOptions, type SlotSource } from './limit/limit-set.ts'
import type { Call } from './call.ts'
import type { Limit } from './limit/parse-limits.ts'
import type { WallTime } from './limit/sliding-window.ts'
import { MINUTE } from '../lib/units.ts'
import type { RefusalReport, LimitReading } from './messages.ts'
import { FairQueue } from './queue/fair-queue.ts'
import type { Evidence, RateTrust, Suspected } from './gate/suspicion.ts'
import { type RampOptions, SlowStart } from './limit/slow-start.ts'
import { type Gate, GateKeeper, type RecoveryOptions } from './gate/gate.ts'

/** After an outage the rate resumes here and ramps up: the ramp from a third would cost seconds. */
const RESUME_AT = 0.9

export interface IssuerOptions extends LimitSetOptions {
  parent?: TicketIssuer | undefined
  ramp?: RampOptions | false | undefined
  recovery?: RecoveryOptions | undefined
  queue?: { readonly ageing?: boolean | undefined } | undefined
  /** Numbers in [0, 1), to spread waits. */
  random: () => number
  wall: WallTime
  /** Whether to ask the user's own probe instead of sending the oldest call. */
  asks?: (() => boolean) | undefined
  /** Whether refusals teach the rate. Default true. */
  learn?: boolean | undefined
  /** Receives the decisions other than tickets, once the tree is consistent again. */
  notify?: ((decision: Decision) => void) | undefined
}

/** A decision other than a ticket: the gate moved, a probe is due, a rate was learned, a quota or stock is empty. */
export type Decision =
  | { of: 'gate' }
  | { of: 'probe' }
  | { of: 'learn'; limit: string; perMinute: number }
  | { of: 'quota'; limit: Limit; waitMs: number }
  | { of: 'depleted'; limit: Limit }

/** A call as an issuer holds it. */
export type IssuerCall = Call<TicketIssuer>

const trustIn = (buckets: readonly Bucket[], now: number): RateTrust => ({
  tried: buckets.some(({ rate }) => rate.tried(now)),
  measured: buckets.every(({ rate }) => rate.passes(now) !== undefined),
})

// Fields that issuers read of each other are not #private: a tree may be built by two copies of the package.
export class TicketIssuer {
  readonly parent: TicketIssuer | undefined
  readonly root: TicketIssuer
  /** This issuer and all above it, up to the root. */
  readonly chain: readonly TicketIssuer[]
  readonly line = new FairQueue<IssuerCall>()
  readonly ramp: SlowStart
  readonly recovery: GateKeeper
  limitSet: LimitSet
  /** Where tickets come from; another source than the budget when processes share the limits. */
  slots: SlotSource
  /** When to ask `next` again. Only an event can make an earlier time useful. */
  wakeAt = Infinity
  pausedUntil = -Infinity
  /** Calls in the queue here and below. */
  waiting = 0
  parked = 0
  /** Decisions that were not reported yet; kept at the root. */
  readonly #decisions: (() => void)[] = []
  /** The order of arrivals; kept at the root. */
  arrivals = 0
  /** Fair turns among the children and the own line: what each has used, and the clock they share. */
  turn = 0
  clock = 0
  lineTurn = 0
  /** The limits that refusals named since the gate was last open. */
  readonly blamed = new Set<Bucket>()
  readonly children: TicketIssuer[] = []
  learns: boolean
  readonly #notify: (decision: Decision) => void
  #pressed = false
  /** A quota is used up until then, and was reported. */
  #quotaUntil = -Infinity
  #gate: Gate['state'] = 'open'

  constructor(options: IssuerOptions) {
    this.parent = options.parent
    this.#notify = options.notify ?? (() => {})
    this.root = this.parent?.root ?? this
    this.chain = [this, ...(this.parent?.chain ?? [])]
    this.learns = options.learn ?? true
    this.parent?.children.push(this)
    this.ramp = new SlowStart(options.ramp)
    const claim = () => this.slots.claim()
    this.recovery = new GateKeeper(options.random, options.asks ?? (() => false), claim, options.wall)
    this.recovery.configure(options.recovery)
    this.line.ageing = options.queue?.ageing ?? true
    this.limitSet = new LimitSet(options, this.ramp, options.wall)
    this.slots = this.limitSet
  }

  /** Applies other options. What was counted stays counted. */
  update(options: Omit<IssuerOptions, 'parent'>, now: number): void {
    const before = this.limitSet
    this.ramp.configure(options.ramp)
    this.recovery.configure(options.recovery)
    this.learns = options.learn ?? true
    this.line.ageing = options.queue?.ageing ?? true
    this.limitSet = new LimitSet(options, this.ramp, options.wall)
    this.limitSet.inherit(before, now)
    if (this.slots === before) this.slots = this.limitSet
    this.slots.crowd(this.waiting > 0, now)
    this.slots.press(this.#pressed, now)
    this.stir()
  }

  /** The first call in the queue here, or below. */
  get first(): IssuerCall | undefined {
    return this.line.first ?? this.children.find(({ waiting }) => waiting > 0)?.first
  }

  /** A call joins the line; one that comes back keeps the place it first had. */
  enqueue(call: IssuerCall, now: number): void {
    const returned = call.seq > 0
    if (!returned) call.seq = ++this.root.arrivals
    call.state = returned ? 'parked' : 'waiting'
    this.line.add(call, returned)
    if (this.line.first === call) this.stir()
    for (const at of this.chain) {
      if (returned) at.parked++
      if (at.waiting++ > 0) continue
      at.ramp.wake(now)
      at.slots.crowd(true, now)
      if (at.parent) at.turn = Math.max(at.turn, at.parent.clock)
    }
    if (this.line.size === 1) this.lineTurn = Math.max(this.lineTurn, this.clock)
  }

  /**
   * A new call takes its ticket at once, as it would in the queue, if nobody waits in the whole tree, every gate above it is
   * open and its cost fits everywhere. Otherwise nothing changes.
   */
  pass(call: IssuerCall, now: number): boolean {
    if (call.seq > 0 || this.root.waiting > 0) return false
    // The line must see another tenant's first call, so that turns are shared as soon as a call waits.
    const { last } = this.line
    if (!last || last.tenant !== call.tenant || last.level.priority !== call.priority) return false
    for (const { recovery, pausedUntil, slots } of this.chain) {
      if (recovery.gate.state !== 'open' || pausedUntil > now) return false
      if (slots.at(call.cost, now) > now) return false
    }
    call.seq = ++this.root.arrivals
    for (const at of this.chain) {
      at.ramp.wake(now)
      if (at.parent) at.turn = Math.max(at.turn, at.parent.clock)
    }
    this.lineTurn = Math.max(this.lineTurn, this.clock)
    this.issue(call, this.children.length > 0 ? this.limitSet.share(call.cost) : 0, now)
    return true
  }

  /** Ends a call that has no ticket and will not get one. */
  cancel(call: IssuerCall, now: number): void {
    if (call.queue) this.setAside(call, now)
    call.state = 'done'
  }

  /** Out of the line for now; `enqueue` brings the call back to its place. */
  setAside(call: IssuerCall, now: number): void {
    this.line.remove(call)
    this.left(call, now)
  }

  /** Hands out the next ticket, if one may go at `now`. Asked at the root. */
  next(now: number): IssuerCall | undefined {
    const call = this.candidate(now)
    if (!call) return undefined
    const { issuer } = call
    const alone = !issuer.line.contested && issuer.children.length === 0
    const share = alone ? 0 : issuer.limitSet.share(call.cost)
    issuer.line.serve(call, share)
    issuer.left(call, now)
    issuer.issue(call, share, now)
    return call
  }

  /** A call of this issuer gets its ticket, which is a turn of this share of its limits. */
  issue(call: IssuerCall, share: number, now: number): void {
    this.clock = this.lineTurn
    this.lineTurn += share
    call.state = 'in flight'
    call.sentAt = now
    for (const at of this.chain) {
      at.recovery.tickets++
      if (at.recovery.gate.state !== 'open') {
        at.recovery.sent(now)
        at.limitSet.resume(now)
      }
      at.slots.take(call.cost, now)
      for (const bucket of at.limitSet.reservoirs)
        if (bucket.available(now) === 0) at.decide({ of: 'depleted', limit: bucket.limit })
      if (!at.parent) break
      at.parent.clock = at.turn
      at.turn += at.parent.limitSet.share(call.cost)
    }
  }

  /** The call that would go next, if its time has come. */
  candidate(now: number): IssuerCall | undefined {
    if (this.waiting === 0) return this.#sleep(Infinity, false, now)
    if (this.wakeAt > now) return undefined
    if (this.pausedUntil > now) return this.#sleep(this.pausedUntil, false, now)
    if (this.recovery.gate.state !== 'open') {
      const allowed = this.recovery.allows(now)
      this.watchGate(now)
      if (!allowed) return this.#sleep(this.recovery.wakeAt(now), this.recovery.gate.state !== 'spent', now)
    }
    let best = this.line.first
    let turn = this.lineTurn
    const probing = this.recovery.gate.state === 'probing'
    let wakeAt = Infinity
    for (const child of this.children) {
      // The probe is the oldest call; otherwise the turns decide.
      if (best && !probing && child.turn >= turn) continue
      const call = child.candidate(now)
      if (!call) wakeAt = Math.min(wakeAt, child.wakeAt)
      else if (!best || (probing ? call.seq < best.seq : true)) [best, turn] = [call, child.turn]
    }
    return best ? this.#whenDue(best, now) : this.#sleep(wakeAt, false, now)
  }

  /** This call, if its cost fits at `now`. */
  #whenDue(call: IssuerCall, now: number): IssuerCall | undefined {
    const at = this.slots.at(call.reckon(), now)
    if (at <= now) return call
    if (at < Infinity && at - now >= MINUTE) this.#watchQuota(call, at, now)
    return this.#sleep(at, at < Infinity, now)
  }

  /** Reports once that a quota is used up, until it returns. */
  #watchQuota(call: IssuerCall, until: number, now: number): void {
    if (now < this.#quotaUntil) return
    const limit = this.limitSet.holding(call.cost, now)?.limit
    if (!limit || limit.paced) return
    this.#quotaUntil = until
    this.decide({ of: 'quota', limit, waitMs: until - now })
  }

  #sleep(wakeAt: number, pressed: boolean, now: number): undefined {
    this.wakeAt = wakeAt
    if (pressed !== this.#pressed) {
      this.#pressed = pressed
      this.slots.press(pressed, now)
    }
  }

  /** The ticket of a call in flight goes to another one, with another cost. */
  handOver(from: IssuerCall, to: IssuerCall, now: number): void {
    to.seq = from.seq
    to.sentAt = from.sentAt
    to.state = 'in flight'
    from.state = 'done'
    // A store counts what it leased; the settlement by usage corrects the rest.
    if (this.chain.some(({ slots, limitSet }) => slots !== limitSet)) to.cost = from.cost
    if (to.cost === from.cost) return
    for (const { limitSet } of this.chain) limitSet.exchange(from.cost, to.cost, from.sentAt!, now)
    this.stir()
  }

  /** The provider answered this call, and it is over. */
  finish(call: IssuerCall, used: Used, now: number): void {
    this.answered(call, now)
    this.end(call, used, now)
  }

  /** The provider has begun to answer this call: it was accepted. */
  answered(call: IssuerCall, now: number): void {
    for (const at of this.chain) {
      const { gate, waits } = at.recovery
      at.limitSet.answered(call.sentAt!)
      if (waits.open) waits.accepted(call.sentAt!, at.limitSet.share(call.cost))
      if (gate.state === 'open') continue
      at.recovery.answered(call.sentAt!, now)
      at.watchGate(now)
    }
    this.stir()
  }

  /** Nobody knows whether the provider accepted this call. */
  lose(call: IssuerCall, now: number): void {
    this.end(call, undefined, now)
    for (const at of this.chain) {
      at.recovery.lost(call.sentAt!)
      at.limitSet.lost(call.sentAt!)
    }
  }

  /** This call never reached the provider: everything it took comes back. */
  release(call: IssuerCall, now: number): void {
    this.end(call, 'unsent', now)
    for (const at of this.chain) at.recovery.lost(call.sentAt!)
  }

  /** A lost call that will be enqueued again, after a wait of its own. */
  putOff(call: IssuerCall, now: number): void {
    this.lose(call, now)
    call.state = 'parked'
  }

  /**
   * The provider refused this call: it goes back to its place in the queue, or is over (refused in mid-stream). If it was
   * told to wait and the others need not, the caller must enqueue it after the returned number of ms.
   */
  refuse(call: IssuerCall, report: RefusalReport, park: boolean, now: number): number {
    const { kind, of, waitMs = 0, slowDown } = report
    const issuer = this.#responsible(of)
    const crowded = of === 'concurrency'
    if (crowded) issuer.slots.tooMany()
    else issuer.limitSet.refused(call.cost, report)
    if (slowDown && issuer.learns && issuer.recovery.gate.state === 'open')
      for (const bucket of issuer.limitSet.ease(kind, now)) issuer.learned(bucket, now)
    this.end(call, 'refused', now)
    // While other calls are in flight, one that ends makes room, so no wait must be guessed.
    const roomComes = crowded && issuer.slots.inFlight > 0
    if (roomComes) issuer.recovery.lost(call.sentAt!)
    if (report.waitMs) issuer.recovery.waits.told(report.waitMs, issuer.limitSet.share(call.cost), now)
    const alone = !roomComes && issuer.refused(report, call.sentAt!, now)
    issuer.watchGate(now)
    for (const at of this.chain) if (at !== issuer) at.recovery.lost(call.sentAt!)
    if (!park) return 0
    if (!alone || waitMs === 0 || issuer.recovery.waits.right === false) {
      this.enqueue(call, now)
      return 0
    }
    call.state = 'parked'
    return waitMs
  }

  /** A limit of this issuer refused a call. Returns whether only this call is affected, as far as is known. */
  refused(report: RefusalReport, sentAt: number, now: number): boolean {
    const { kind, of } = report
    this.#search(kind === 'rate' && of !== 'concurrency', now)
    const later = () => void this.#judge(report, sentAt, now)
    return (
      (this.recovery.gate.state === 'open' && this.slots.defer(later)) || this.#judge(report, sentAt, now)
    )
  }

  #judge({ kind, of, waitMs }: RefusalReport, sentAt: number, now: number): boolean {
    const buckets = this.limitSet.named(of)
    const pace = of === 'concurrency' ? Infinity : Math.min(...buckets.map(({ rate }) => rate.at(now)))
    const suspected = this.recovery.refused(kind, waitMs, sentAt, pace, now, trustIn(buckets, now))
    const blocked = suspected.of === 'blocked'
    const { gate } = this.recovery
    const limited = gate.state === 'closed' ? gate.kind === 'rate' : kind === 'rate'
    this.#search(blocked && limited && of !== 'concurrency', now)
    for (const bucket of buckets) {
      if (!blocked) this.#doubt(bucket, suspected, now)
      else if (limited && of !== 'concurrency') this.blamed.add(bucket)
    }
    return !blocked
  }

  /** Other processes sent calls, and some were refused. They learn too what is learned here. */
  heard({ tickets, refusals, passing }: Evidence, since: number, now: number): void {
    const { recovery } = this
    if (passing) recovery.passing = true
    const buckets = this.limitSet.named(undefined)
    for (let i = 0; i < refusals; i++) {
      recovery.tickets += tickets / refusals
      const suspected = recovery.suspicion.refused(trustIn(buckets, now), recovery.tickets, since, now)
      // The process that was refused decides what follows, and tells the others.
      if (suspected.of === 'chance') for (const bucket of buckets) this.#doubt(bucket, suspected, now)
    }
    if (refusals === 0) recovery.tickets += tickets
  }

  /** A call was refused; where no limit is known there may be one. */
  #search(limited: boolean, now: number): void {
    if (!this.limitSet.search(limited, now)) return
    this.slots.crowd(this.waiting > 0, now)
    this.slots.press(this.#pressed, now)
    this.limitSet.closed(now)
  }

  /** Judges a rate after a call was refused while others pass. */
  #doubt(bucket: Bucket, suspected: Suspected, now: number): void {
    const { rate } = bucket
    if (suspected.of === 'chance') {
      if (suspected.first) rate.doubted(now)
    } else if (suspected.of === 'cleared') {
      if (rate.cleared(now)) this.learned(bucket, now)
    } else if (suspected.of === 'exceeded' && this.learns) {
      if (!rate.exceeded(now)) this.recovery.suspicion.untested()
      this.learned(bucket, now)
    }
  }

  /** The provider says that money or quota is used up. The call itself is over. */
  spend(call: IssuerCall, waitMs: number | undefined, now: number): void {
    this.end(call, 'refused', now)
    this.recovery.spend(waitMs, now)
    // For the issuers above, this was an answer.
    for (const at of this.chain) {
      if (at !== this) at.recovery.answered(call.sentAt!, now)
      at.watchGate(now)
    }
  }

  /** Whether calls fail at once, since the quota is used up and no trial is due. */
  spent(now: number): boolean {
    const { gate } = this.recovery
    return gate.state === 'spent' && (!this.recovery.over(now) || (gate.trialOut && !gate.known))
  }

  /** The user's own probe has answered. */
  asked(blocked: boolean, now: number): void {
    this.recovery.asked(blocked, now)
    this.watchGate(now)
    this.stir()
  }

  /** The headers of the answer to a call sent at `sentAt` name a limit, or what is left of it. */
  told(told: LimitReading, eager: boolean, sentAt: number, now: number): void {
    for (const bucket of this.limitSet.told(told, eager, sentAt, now)) this.learned(bucket, now)
    this.stir()
  }

  /** Adds an amount to a dimension. Returns whether any limit of it can be refilled. */
  refill(of: string, amount: number, now: number): boolean {
    const buckets = this.limitSet.reservoirs.filter(({ limit }) => limit.of === of)
    for (const bucket of buckets) bucket.refill(amount, now)
    this.stir()
    return buckets.length > 0
  }

  pause(until: number): void {
    this.pausedUntil = until
    this.stir()
  }

  /** Something has changed: the next look may find more than the last one. */
  stir(): void {
    for (const at of this.chain) at.wakeAt = -Infinity
  }

  /** A call in flight is over. */
  end(call: IssuerCall, used: Used, now: number): void {
    call.state = 'done'
    for (const at of this.chain) {
      at.slots.settle(call.cost, used, call.sentAt!, now)
      at.wakeAt = -Infinity
    }
  }

  /** A call has left the line. */
  left(call: IssuerCall, now: number): void {
    for (const at of this.chain) {
      if (call.state === 'parked') at.parked--
      at.wakeAt = -Infinity
      if (--at.waiting > 0) continue
      at.ramp.rest(now)
      at.slots.crowd(false, now)
    }
  }

  /** The issuer whose limit a refusal names: the nearest that has it, else this one. */
  #responsible(of: string | undefined): TicketIssuer {
    return this.chain.find((at) => at.limitSet.buckets.some(({ limit }) => limit.of === of)) ?? this
  }

  /** Reports the gate's state if it changed. */
  watchGate(now: number): void {
    const { gate } = this.recovery
    if (gate.state === this.#gate) return
    const before = this.#gate
    this.#gate = gate.state
    this.stir()
    // The rate resumes with the first call, long before enough answers have opened the gate.
    if (before === 'closed' || before === 'turn' || before === 'asking') this.ramp.restart(now, RESUME_AT)
    if (before === 'open' || this.recovery.closesFirst(now)) this.limitSet.closed(now)
    else if (gate.state === 'open') {
      const closure = this.learns ? this.recovery.closure() : undefined
      for (const bucket of this.limitSet.reopened(closure, this.blamed, now)) this.learned(bucket, now)
      this.blamed.clear()
    }
    this.decide({ of: 'gate' })
    if (gate.state === 'asking') this.decide({ of: 'probe' })
  }

  learned({ rate, limit }: Bucket, now: number): void {
    this.decide({ of: 'learn', limit: limit.of, perMinute: rate.at(now) * MINUTE })
  }

  decide(decision: Decision): void {
    this.root.#decisions.push(() => this.#notify(decision))
  }

  /** Reports what was decided in this tree since the last time. Called at the root. */
  tell(): void {
    for (let next = this.#decisions.shift(); next; next = this.#decisions.shift()) next()
  }
}
