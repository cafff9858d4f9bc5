// Decides which call gets which ticket. Each target has at most one standby call in the queue of its limiter, and
// none if no call here wants the target. So the limiter's own timer, gate, probe and store serve the pool like any
// other caller, and nothing is polled. A ticket goes to the call that is first when the ticket arrives. If no call
// is ahead and a ticket is free, a call skips the queue.

import { type Clock, type Grant, type StandbyWaiter, WaitTimeoutError } from 'llmiter'
import { watch } from '../lib/abort.ts'
import { duration } from '../lib/duration.ts'
import { type Lane, Lanes } from './lanes.ts'
import { noTarget } from './no-target.ts'
import type { PoolMember, Terms } from './pool-member.ts'
import type { StickyTargets } from './sticky.ts'
import { type TargetTier, weightOf } from './strategy.ts'
import { TargetStandby } from './target-standby.ts'
import type { TargetHealth } from './target.ts'

/** A ticket, its target, the number of the call at that target, and the place of the call in the queue. */
export interface TakenTicket {
  readonly grant: Grant
  readonly index: number
  readonly number: number
  readonly seq: number
}

export class PoolQueue {
  readonly #standbys: readonly TargetStandby[]
  readonly #clock: Clock
  readonly #waitUpTo: number
  readonly #sticky: StickyTargets
  readonly #told: (index: number) => void
  readonly #lanes: Lanes
  /** The call that is being placed while no call waits. */
  #arriving: PoolMember | undefined
  #rounds = 0
  /** Whether `takeNow` is asking for a ticket, and what it got. */
  #asking = false
  #grant: Grant | undefined
  readonly #direct: StandbyWaiter = {
    granted: (grant) => void (this.#grant = grant),
    // The call meets the same error in the queue, which handles it.
    failed: () => {},
  }
  /** The highest `served` of any target. */
  #served = 0
  #stopped: { readonly error: unknown } | undefined

  constructor(
    health: readonly TargetHealth[],
    clock: Clock,
    waitUpTo: number,
    sticky: StickyTargets,
    told: (index: number) => void,
  ) {
    this.#standbys = health.map((one, index) => new TargetStandby(this, one, index, clock))
    this.#lanes = new Lanes(health.length)
    this.#clock = clock
    this.#waitUpTo = waitUpTo
    this.#sticky = sticky
    this.#told = told
  }

  get size(): number {
    return this.#lanes.size
  }

  stop(error: unknown): void {
    this.#stopped ??= { error }
    for (const { queue } of [...this.#lanes.occupied])
      for (let { first } = queue; first; first = queue.first) this.reject(first as PoolMember, error)
    for (const standby of this.#standbys) standby.idle()
  }

  /**
   * Gives the call a ticket, queues it for the targets that may answer it now, or ends it. `since`: when it began to
   * wait, if it waits already.
   */
  place(member: PoolMember, since?: number): void {
    if (this.#stopped) return finish(member, this.#stopped)
    const { signal } = member.call
    if (signal?.aborted) return finish(member, { error: signal.reason })
    const returned = !this.#lanes.arrive(member)
    if (member.grant) return // It was made within a call that had a ticket.
    const now = this.#clock.now()
    member.queuedAt = Math.floor(now)
    member.since = since ?? member.queuedAt
    const at = this.#lanes.size === 0 && !this.#arriving ? this.#goNow(member, now) : undefined
    if (member.grant) return
    const allowed = this.#allowed(member, now)
    if (allowed.length === 0) {
      finish(
        member,
        noTarget(member, (index) => this.#standbys[index]!.health, now),
      )
      for (const index of at ?? []) this.fill(index)
      return
    }
    member.allowed = allowed
    this.#lanes.add(member, allowed, returned)
    this.#serve(member)
    if (member.lane) this.#attend(member)
  }

  /**
   * A free ticket of the first tier if no call waits. Most calls of a pool with room need no more than this.
   * Changes nothing if there is no ticket.
   */
  takeNow({ indices, weights }: TargetTier, terms: Terms): TakenTicket | undefined {
    if (this.#lanes.size > 0 || this.#arriving || this.#asking || this.#stopped) return undefined
    const round = ++this.#rounds
    for (;;) {
      const standby = this.#nextStandby(indices, weights, terms, round)
      if (!standby) return undefined
      const grant = this.#askNow(standby, terms)
      if (!grant) continue
      const { health, index } = standby
      this.#catchUp(health, 1 / weights[indices.indexOf(index)]!)
      const number = health.sentOne()
      this.#told(index)
      return { grant, index, number, seq: this.#lanes.nextSeq() }
    }
  }

  #askNow({ health, terms: taken }: TargetStandby, terms: Terms): Grant | undefined {
    if (taken || !health.admitsNow()) return undefined
    this.#asking = true
    try {
      const leave = health.limiter.standBy(terms, this.#direct)
      if (!this.#grant) leave()
      return this.#grant
    } catch {
      return undefined // The cost is invalid. The queue finds out which targets know it.
    } finally {
      this.#asking = false
      this.#grant = undefined
    }
  }

  /** No call is ahead, so takes a ticket if one is free. Returns the targets it tried. */
  #goNow(member: PoolMember, now: number): readonly number[] {
    member.reach = 1
    member.allowed = this.#open(member, member.tiers[0]!, now)
    const { allowed } = member
    this.#arriving = member
    try {
      this.#serve(member)
    } finally {
      this.#arriving = undefined
    }
    return allowed
  }

  /** Watches for an abort or a timeout while the call waits. */
  #attend(member: PoolMember): void {
    const { call, waitedMs, reach, tiers } = member
    const { signal, maxWaitMs } = call
    const timers: (() => void)[] = []
    const after = (longest: number, what: () => void) => {
      timers.push(this.#clock.setTimer(what, Math.max(0, longest - waitedMs), true))
    }
    if (maxWaitMs === 0) return this.#tooLong(member)
    if (signal) timers.push(watch(signal, () => this.reject(member, signal.reason)))
    if (maxWaitMs !== undefined) after(duration(maxWaitMs, 'maxWaitMs'), () => this.#tooLong(member))
    if (reach < tiers.length) after(this.#waitUpTo, () => this.#again(member))
    if (timers.length > 0) member.timers = timers
  }

  /** Takes a call out of the queue, to be placed again or to end. */
  #unline(member: PoolMember): void {
    this.#lanes.remove(member)
    this.#rest(member, this.#clock.now())
  }

  #rest(member: PoolMember, now: number): void {
    member.waitedMs += Math.floor(now) - member.queuedAt
    const { timers } = member
    if (!timers) return
    member.timers = undefined
    for (const cancel of timers) cancel()
  }

  /**
   * Tries the targets without a standby for such a call, in the order of their weights. A target with room takes
   * the first call in the queue.
   */
  #serve(member: PoolMember): void {
    const { allowed, terms, tiers } = member
    const weights = allowed === tiers[0]!.indices ? tiers[0]!.weights : allowed.map((i) => weightOf(tiers, i))
    const round = ++this.#rounds
    for (;;) {
      const next = this.#nextStandby(allowed, weights, terms, round)
      if (!next) return
      this.#fill(next)
      if (member.allowed !== allowed || !(member.lane || this.#arriving === member)) return
    }
  }

  /** The next target by weight, among those without a standby for such a call that were not tried in this round. */
  #nextStandby(
    indices: readonly number[],
    weights: readonly number[],
    terms: Terms,
    round: number,
  ): TargetStandby | undefined {
    let next: TargetStandby | undefined
    let least = Infinity
    for (let i = 0; i < indices.length; i++) {
      const standby = this.#standbys[indices[i]!]!
      if (standby.round === round || standby.terms === terms) continue
      const due = standby.health.served + 1 / weights[i]!
      if (due < least) [least, next] = [due, standby]
    }
    if (next) next.round = round
    return next
  }

  /** The targets of the first tiers, up to the first tier with an acceptable wait. */
  #allowed(member: PoolMember, now: number): readonly number[] {
    const { tiers, waitedMs } = member
    const waitUpTo = this.#waitUpTo
    let allowed: readonly number[] = []
    member.reach = 0
    for (const tier of tiers) {
      const open = this.#open(member, tier, now)
      allowed = allowed.length === 0 ? open : [...new Set([...allowed, ...open])].sort((a, b) => a - b)
      if (++member.reach === tiers.length) break
      const soonest = () => Math.min(...open.map((index) => this.estimate(index, member.terms, now)))
      if (waitedMs < waitUpTo && waitedMs + soonest() <= waitUpTo) break
    }
    return allowed
  }

  /** The targets of a tier that the call may wait for. */
  #open(member: PoolMember, { indices }: TargetTier, now: number): readonly number[] {
    const open = (index: number) => !member.rulesOut(index) && !this.#standbys[index]!.health.hopeless(now)
    return indices.every(open) ? indices : indices.filter(open)
  }

  /** An estimate of how long a call would wait for this target, in ms. */
  estimate(index: number, { cost }: Terms, now: number): number {
    const { health } = this.#standbys[index]!
    if (!health.admits(now)) return health.opensAt() - now
    let wait = health.limiter.waitTime(cost)
    for (const { targets, queue } of this.#lanes.of(index)) {
      if (queue.size < 2) continue
      const rate = targets.reduce((sum, i) => sum + this.#standbys[i]!.health.rate(now), 0)
      // The first of them is already in the limiter's own queue.
      wait += (queue.size - 1) / rate
    }
    return wait
  }

  /**
   * How many calls wait for this target. A call that several targets may answer counts at one of them, in proportion
   * to their rates. Undefined: none wants it.
   */
  waitingFor(index: number): number | undefined {
    const now = this.#clock.now()
    let waiting: number | undefined
    for (const { targets, queue } of this.#lanes.of(index)) {
      if (queue.size === 0) continue
      const inUse = targets.filter((i) => this.#standbys[i]!.standsBy)
      const shared = inUse.length > 0 ? inUse : targets
      const rates = shared.map((i) => this.#standbys[i]!.health.rate(now))
      waiting = (waiting ?? 0) + portion(queue.size, rates, shared.indexOf(index))
    }
    return waiting
  }

  /** Makes sure the target has a standby if any call here wants it. */
  fill(index: number): void {
    this.#fill(this.#standbys[index]!)
  }

  #fill(standby: TargetStandby): void {
    if (standby.filling) return
    standby.filling = true
    try {
      while (this.#stand(standby));
    } finally {
      standby.filling = false
    }
    this.#told(standby.index)
  }

  /** The call that gets the next ticket of this target. */
  first({ index }: TargetStandby): PoolMember | undefined {
    if (this.#arriving?.allowed.includes(index)) return this.#arriving
    return this.#lanes.first(index) as PoolMember | undefined
  }

  /** Returns whether a call was served, so that the next one can be tried. */
  #stand(standby: TargetStandby): boolean {
    const first = this.first(standby)
    const admits = first !== undefined && standby.health.admits(this.#clock.now())
    if (standby.terms) {
      if (admits && standby.terms === first.terms) return false
      standby.leave()
    }
    if (first) standby.lookAgain(!admits)
    else standby.idle()
    if (!admits) return false
    try {
      return standby.standBy(first)
    } catch (error) {
      this.#exclude(first, standby.index, error)
      return true
    }
  }

  /** This target has a ticket for calls with these terms. */
  granted(standby: TargetStandby, terms: Terms | undefined, grant: Grant): void {
    const member = this.first(standby)
    // Another call may be first by now, and the ticket may not fit its terms.
    if (member && member.terms === terms) this.#hand(standby, member, grant)
    else grant.release()
    this.#fill(standby)
  }

  #hand(standby: TargetStandby, member: PoolMember, grant: Grant): void {
    const { allowed, lane } = member
    const now = this.#clock.now()
    if (lane) this.#lanes.serve(member)
    else this.#arriving = undefined
    this.#rest(member, now)
    this.#catchUp(standby.health, 1 / weightOf(member.tiers, standby.index))
    member.index = standby.index
    member.number = standby.health.sentOne()
    member.grant = grant
    if (member.stickyKey !== undefined) this.#sticky.keep(member.stickyKey, standby.index, now)
    member.wake?.(member)
    // Usually the next call has the same terms as this one.
    if (
      this.#lanes.occupied.size === 1 &&
      (lane?.queue.first as PoolMember | undefined)?.terms === member.terms
    )
      return
    // Standbys placed elsewhere for this call now serve the next one, or leave.
    for (const index of allowed) if (this.#standbys[index]!.terms) this.fill(index)
  }

  /** A target that had no room for a while does not accumulate turns. */
  #catchUp(health: TargetHealth, turn: number): void {
    health.served = Math.max(health.served, this.#served - 2 * turn) + turn
    this.#served = Math.max(this.#served, health.served)
  }

  /** The limiter of this target cannot issue a ticket for the call in its current state. */
  unable(standby: TargetStandby, member: PoolMember, error: unknown): void {
    const { code } = Object(error) as { code?: unknown }
    if (code === 'REQUEST_TOO_LARGE') return this.#exclude(member, standby.index, error)
    standby.health.unavailable(error, this.#clock.now())
    this.review(standby.index)
  }

  #exclude(member: PoolMember, index: number, why: unknown): void {
    member.trouble.excluded.set(index, why)
    if (member === this.#arriving) member.allowed = member.allowed.filter((one) => one !== index)
    this.#again(member)
  }

  /** The state of the target changed, so the calls that wait for it may have to go elsewhere. */
  review(index: number): void {
    if (this.#standbys[index]!.health.hopeless(this.#clock.now())) {
      for (const lane of [...this.#lanes.of(index)]) this.#clear(lane)
    }
    this.fill(index)
  }

  #clear({ queue }: Lane): void {
    const members: PoolMember[] = []
    for (let { first } = queue; first; first = queue.first) {
      this.#unline(first as PoolMember)
      members.push(first as PoolMember)
    }
    for (const member of members) this.place(member, member.since)
  }

  #again(member: PoolMember): void {
    if (!member.lane) return
    this.#unline(member)
    this.place(member, member.since)
  }

  reject(member: PoolMember, error: unknown): void {
    if (!member.lane) return
    const { allowed } = member
    this.#unline(member)
    finish(member, { error })
    for (const index of allowed) this.fill(index)
  }

  #tooLong(member: PoolMember): void {
    const { maxWaitMs } = member.call
    const message = `no target had room within maxWaitMs (${String(maxWaitMs)}), ${this.size} calls wait`
    this.reject(member, new WaitTimeoutError(message))
  }
}

/** The `place`th part of a number of calls, in proportion to the rates. The parts add up to that number. */
function portion(calls: number, rates: readonly number[], place: number): number {
  if (place < 0) return 0
  const shares = rates.includes(Infinity) ? rates.map((rate) => (rate === Infinity ? 1 : 0)) : rates
  const upTo = (end: number) => shares.slice(0, end).reduce((sum, share) => sum + share, 0)
  const each = calls / upTo(shares.length)
  return Math.round(each * upTo(place + 1)) - Math.round(each * upTo(place))
}

function finish(member: PoolMember, end: PoolMember['end']): void {
  member.end = end
  member.wake?.(member)
}
