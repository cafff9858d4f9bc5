// The ticket office: the parts of one limiter as one machine. (state, event, now) → decisions.
//
// A call comes in by `enqueue`. `next` hands out one ticket, or none and then `wakeAt` says when to ask again.
// A ticket ends in one of three ways: `finish` (the provider answered), `refuse` (back to its place in line) or
// `lose` (no answer: aborted, broken off, never sent). `cancel` takes a call out of the line.
// What else was decided (the gate moved, a rate was learned, a probe is wanted) is in `notices`.
//
// Offices form a tree: an account over its models. A ticket needs room in its own office and in every one
// above, all or none. The root asks its children in fair turns, and only the root is asked by the shell.

import { Budget, type BudgetOptions, type SlotSource, type Used } from './budget.ts'
import type { Call, Refused, Told } from './call.ts'
import { Line } from './line.ts'
import { Ramp, type RampOptions } from './ramp.ts'
import { type Gate, Recovery } from './recovery.ts'
import type { WallTime } from './window.ts'

export interface OfficeOptions extends BudgetOptions {
  name: string
  parent?: Office | undefined
  /** Whose office it is: the core only hands it on. */
  owner?: unknown
  ramp?: RampOptions | false | undefined
  /** Numbers in [0, 1), to spread waits. */
  random: () => number
  wall: WallTime
  /** Whether a probe of the user's own is to be asked, instead of sending the oldest call. */
  asks?: (() => boolean) | undefined
  /** Whether refusals teach the rate. Default true. */
  learn?: boolean | undefined
}

/** What the office has decided besides the tickets. */
export type Notice =
  { of: 'gate' | 'probe'; office: Office } | { of: 'learn'; office: Office; limit: string; perMinute: number }

/** After an outage the rate resumes here and ramps up: the ramp from a third would cost seconds. */
const RESUME_AT = 0.9
const MINUTE = 60_000

// Fields that offices read of each other are not #private: a tree may be built by two copies of the package.
export class Office {
  readonly name: string
  readonly owner: unknown
  readonly parent: Office | undefined
  readonly root: Office
  /** This office and all above it, up to the root. */
  readonly chain: readonly Office[]
  readonly line = new Line<Call>()
  ramp: Ramp
  readonly recovery: Recovery
  budget: Budget
  /** Where tickets come from; another source than the budget when processes share the limits. */
  slots: SlotSource
  /** When `next` is worth asking again; only an event can change that before. */
  wakeAt = Infinity
  pausedUntil = -Infinity
  /** Calls in line here and below. */
  waiting = 0
  parked = 0
  /** Decisions that the shell has not taken yet; kept at the root. */
  readonly notices: Notice[] = []
  /** The order of arrivals; kept at the root. */
  arrivals = 0
  /** Fair turns among the children and the own line: what each has used, and the clock they share. */
  turn = 0
  clock = 0
  lineTurn = 0
  readonly #children: Office[] = []
  #learns: boolean
  #pressed = false
  #gate: Gate['state'] = 'open'

  constructor(options: OfficeOptions) {
    this.name = options.name
    this.parent = options.parent
    this.owner = options.owner
    this.root = this.parent?.root ?? this
    this.chain = [this, ...(this.parent?.chain ?? [])]
    this.#learns = options.learn ?? true
    this.parent?.adopt(this)
    this.ramp = new Ramp(options.ramp === false ? { ms: 0 } : options.ramp)
    this.recovery = new Recovery(options.random, options.asks ?? (() => false))
    this.budget = new Budget(options, this.ramp, options.wall)
    this.slots = this.budget
  }

  /** Other options from now on; what was counted stays counted. */
  update(options: Omit<OfficeOptions, 'parent'>, now: number): void {
    const before = this.budget
    this.ramp = new Ramp(options.ramp === false ? { ms: 0 } : options.ramp)
    this.#learns = options.learn ?? true
    this.budget = new Budget(options, this.ramp, options.wall)
    this.budget.inherit(before, now)
    if (this.slots === before) this.slots = this.budget
    if (this.waiting > 0) this.slots.crowd(true, now)
    this.slots.press(this.#pressed, now)
    this.#stir()
  }

  /** A call joins the line; one that comes back keeps the place it first had. */
  enqueue(call: Call, now: number): void {
    const returned = call.seq > 0
    if (!returned) call.seq = ++this.root.arrivals
    call.state = returned ? 'parked' : 'waiting'
    this.line.add(call, returned)
    if (this.line.first === call) this.#stir()
    for (const at of this.chain) {
      if (returned) at.parked++
      if (at.waiting++ > 0) continue
      at.slots.crowd(true, now)
      if (at.parent) at.turn = Math.max(at.turn, at.parent.clock)
    }
  }

  cancel(call: Call, now: number): void {
    this.setAside(call, now)
    call.state = 'done'
  }

  /** Out of the line for now; `enqueue` brings the call back to its place. */
  setAside(call: Call, now: number): void {
    this.line.remove(call)
    this.left(call, now)
  }

  /** Hands out the next ticket, if one may go at `now`. Asked at the root. */
  next(now: number): Call | undefined {
    const call = this.candidate(now)
    if (!call) return undefined
    const { office } = call
    const share = office.budget.share(call.cost)
    office.line.serve(call, share)
    office.left(call, now)
    call.state = 'in flight'
    call.sentAt = now
    office.lineTurn += share
    for (const at of office.chain) {
      at.ramp.mark(now)
      at.recovery.sent(now)
      at.slots.take(call.cost, now)
      if (at.parent) at.parent.clock = at.turn
      at.turn += share
    }
    return call
  }

  adopt(child: Office): void {
    this.#children.push(child)
  }

  /** Who would go next, if its time has come. */
  candidate(now: number): Call | undefined {
    if (this.waiting === 0) return this.#sleep(Infinity, false, now)
    if (this.wakeAt > now) return undefined
    if (this.pausedUntil > now) return this.#sleep(this.pausedUntil, false, now)
    const allowed = this.recovery.allows(now)
    this.watchGate(now)
    if (!allowed) return this.#sleep(this.recovery.wakeAt(), this.recovery.gate.state !== 'spent', now)
    let best = this.line.first
    let turn = this.lineTurn
    let wakeAt = Infinity
    for (const child of this.#children) {
      if (best && child.turn >= turn) continue
      const call = child.candidate(now)
      if (call) [best, turn] = [call, child.turn]
      else wakeAt = Math.min(wakeAt, child.wakeAt)
    }
    if (!best) return this.#sleep(wakeAt, false, now)
    const at = this.slots.at(best.cost, now)
    if (at > now) return this.#sleep(at, at < Infinity, now)
    return best
  }

  #sleep(wakeAt: number, pressed: boolean, now: number): undefined {
    this.wakeAt = wakeAt
    if (pressed !== this.#pressed) {
      this.#pressed = pressed
      this.slots.press(pressed, now)
    }
  }

  /** The provider answered this call: it was accepted. */
  finish(call: Call, used: Used, now: number): void {
    this.#settle(call, used, now)
    call.state = 'done'
    for (const at of this.chain) {
      at.recovery.answered(call.sentAt!)
      at.watchGate(now)
    }
  }

  /** Nobody knows whether the provider accepted this call; `'unsent'`: it never got there, and all comes back. */
  lose(call: Call, used: 'unsent' | undefined, now: number): void {
    this.#settle(call, used, now)
    call.state = 'done'
    for (const at of this.chain) at.recovery.lost(call.sentAt!)
  }

  /** The provider refused this call: it goes back to its place in line, or is over (refused in mid-stream). */
  refuse(call: Call, { kind, of, waitMs }: Refused, park: boolean, now: number): void {
    const office = this.#responsible(of)
    const buckets = office.budget.named(of)
    if (of === 'concurrency') office.budget.tooMany()
    else if (kind === 'rate')
      for (const bucket of buckets) bucket.rate.refused(call.cost[bucket.limit.of] ?? 0)
    this.#settle(call, 'refused', now)
    const pace = Math.min(...buckets.map((bucket) => bucket.rate.at(now)))
    office.recovery.refused(kind, waitMs, call.sentAt!, of === 'concurrency' ? Infinity : pace, now)
    office.watchGate(now)
    for (const at of this.chain) if (at !== office) at.recovery.lost(call.sentAt!)
    if (park) this.enqueue(call, now)
    else call.state = 'done'
  }

  /** The provider says that money or quota is used up. The call itself is over. */
  spend(call: Call, waitMs: number | undefined, now: number): void {
    this.#settle(call, 'refused', now)
    call.state = 'done'
    this.recovery.spend(waitMs, now)
    this.watchGate(now)
  }

  /** Whether calls fail at once, since the quota is used up and no trial is due. */
  spent(now: number): boolean {
    return this.recovery.gate.state === 'spent' && !this.recovery.allows(now)
  }

  /** The user's own probe has answered. */
  asked(blocked: boolean, now: number): void {
    this.recovery.asked(blocked, Infinity, now)
    this.watchGate(now)
    this.#stir()
  }

  /** Headers name a limit, or what is left of it. */
  told(told: Told, eager: boolean, now: number): void {
    for (const { rate, limit } of this.budget.told(told, eager, now)) this.#learned(limit.of, rate.at(now))
    this.#stir()
  }

  pause(until: number): void {
    this.pausedUntil = until
    this.#stir()
  }

  /** Something has changed: the next look may find more than the last one. */
  #stir(): void {
    for (const at of this.chain) at.wakeAt = -Infinity
  }

  #settle(call: Call, used: Used, now: number): void {
    for (const at of this.chain) {
      at.slots.settle(call.cost, used, call.sentAt!, now)
      at.wakeAt = -Infinity
    }
  }

  /** A call has left the line. */
  left(call: Call, now: number): void {
    for (const at of this.chain) {
      if (call.state === 'parked') at.parked--
      if (--at.waiting === 0) at.slots.crowd(false, now)
      at.wakeAt = -Infinity
    }
  }

  /** The office whose limit a refusal names: the nearest that has it, else this one. */
  #responsible(of: string | undefined): Office {
    for (const at of this.chain) {
      if (at.budget.buckets.some(({ limit }) => limit.of === of)) return at
    }
    return this
  }

  /** Looks whether the gate has moved, and says so. */
  watchGate(now: number): void {
    const { gate } = this.recovery
    if (gate.state === this.#gate) return
    const before = this.#gate
    this.#gate = gate.state
    this.#stir()
    if (gate.state === 'open' && before !== 'spent') this.#reopened(now)
    this.root.notices.push({ of: 'gate', office: this })
    if (gate.state === 'asking') this.root.notices.push({ of: 'probe', office: this })
  }

  #reopened(now: number): void {
    const cut = this.#learns && this.recovery.repeated
    this.ramp.restart(now, RESUME_AT)
    for (const { rate, limit } of this.budget.buckets) {
      if (rate.reopened(cut, now)) this.#learned(limit.of, rate.at(now))
    }
  }

  #learned(limit: string, rate: number): void {
    this.root.notices.push({ of: 'learn', office: this, limit, perMinute: rate * MINUTE })
  }
}
