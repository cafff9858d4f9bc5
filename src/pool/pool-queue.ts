// Which call gets which ticket. Each target has at most one standby in the line of its limiter, and none when nobody here
// wants it: the limiter's own timer, gate, probe and store work for the pool as for any other caller, and nothing is
// polled. A ticket goes to the call that is first when the ticket arrives. A call that nobody is before does not go
// through the line when there is a ticket for it at once.

import { type Clock, type Grant, LimiterError, type StandbyWaiter, WaitTimeoutError } from 'llmiter'
import { watch } from '../lib/abort.ts'
import { duration } from '../lib/duration.ts'
import { BudgetExceededError } from './budgets.ts'
import { type Lane, Lanes } from './lanes.ts'
import type { PoolMember, Terms } from './pool-member.ts'
import type { StickyTargets } from './sticky.ts'
import { type TargetTier, weightOf } from './strategy.ts'
import type { TargetHealth } from './target.ts'

/** No target can answer the call: none fits it, or all that may are dead, spent or stopped. `cause` says why. */
export class NoTargetError extends LimiterError {
  /** The name of the class. */
  override name = 'NoTargetError'
  static readonly code = 'NO_TARGET'
}

/** Where the pool stands at one target. */
class Post implements StandbyWaiter {
  readonly index: number
  readonly health: TargetHealth
  readonly queue: PoolQueue
  /** What it waits for. A call with other needs must join the queue again. Undefined: it does not wait there. */
  terms: Terms | undefined = undefined
  first: PoolMember | undefined = undefined
  leave: (() => void) | undefined = undefined
  filling = false
  round = 0
  alarm: { readonly at: number; readonly cancel: () => void } | undefined = undefined

  constructor(queue: PoolQueue, health: TargetHealth, index: number) {
    this.queue = queue
    this.health = health
    this.index = index
  }

  granted(grant: Grant): void {
    const { terms } = this
    this.over()
    this.queue.granted(this, terms, grant)
  }

  failed(error: unknown): void {
    const { first } = this
    this.over()
    this.queue.unable(this, first!, error)
  }

  over(): void {
    this.terms = this.first = this.leave = undefined
    this.health.full = false
  }
}

/** A ticket, of which target, the how-manyth call it is there, and the place of the call in the queue. */
export interface TakenTicket {
  readonly grant: Grant
  readonly index: number
  readonly number: number
  readonly seq: number
}

export class PoolQueue {
  readonly #posts: readonly Post[]
  readonly #clock: Clock
  readonly #waitUpTo: number
  readonly #sticky: StickyTargets
  readonly #told: (index: number) => void
  readonly #lanes: Lanes
  /** The call that is being placed while no call waits. */
  #arriving: PoolMember | undefined
  #rounds = 0
  /** `takeNow` asks for a ticket, and what it got. */
  #asking = false
  #grant: Grant | undefined
  readonly #direct: StandbyWaiter = {
    granted: (grant) => void (this.#grant = grant),
    // The call meets this again in the queue, where it is seen to.
    failed: () => {},
  }
  /** The most that a target was served, by weight. */
  #served = 0
  #stopped: { readonly error: unknown } | undefined

  constructor(
    health: readonly TargetHealth[],
    clock: Clock,
    waitUpTo: number,
    sticky: StickyTargets,
    told: (index: number) => void,
  ) {
    this.#posts = health.map((one, index) => new Post(this, one, index))
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
    for (const { alarm } of this.#posts) alarm?.cancel()
  }

  /** Gives the call a ticket, puts it in the queue for the targets that may answer it now, or ends it. */
  place(member: PoolMember): void {
    if (this.#stopped) return finish(member, this.#stopped)
    const { signal } = member.call
    if (signal?.aborted) return finish(member, { error: signal.reason })
    const returned = !this.#lanes.arrive(member)
    if (member.grant) return // It was made within a call that had a ticket.
    const now = this.#clock.now()
    member.queuedAt = Math.floor(now)
    const at = this.#lanes.size === 0 && !this.#arriving ? this.#goNow(member, now) : undefined
    if (member.grant) return
    const allowed = this.#allowed(member, now)
    if (allowed.length === 0) {
      this.#noTarget(member, now)
      for (const index of at ?? []) this.fill(index)
      return
    }
    member.allowed = allowed
    this.#lanes.add(member, allowed, returned)
    this.#serve(member)
    if (member.lane) this.#attend(member)
  }

  /**
   * A ticket of the first tier that is there now, when no call waits: most calls of a pool with room need no more than
   * that, and leave no trace when there is none.
   */
  takeNow({ indices, weights }: TargetTier, terms: Terms): TakenTicket | undefined {
    if (this.#lanes.size > 0 || this.#arriving || this.#asking || this.#stopped) return undefined
    const round = ++this.#rounds
    for (;;) {
      const post = this.#nextPost(indices, weights, terms, round)
      if (!post) return undefined
      const grant = this.#askNow(post, terms)
      if (!grant) continue
      const { health, index } = post
      this.#catchUp(health, 1 / weights[indices.indexOf(index)]!)
      const number = health.sentOne()
      this.#told(index)
      return { grant, index, number, seq: this.#lanes.nextSeq() }
    }
  }

  #askNow({ health, terms: taken }: Post, terms: Terms): Grant | undefined {
    if (taken || !health.admitsNow()) return undefined
    this.#asking = true
    try {
      const leave = health.limiter.standBy(terms, this.#direct)
      if (!this.#grant) leave()
      return this.#grant
    } catch {
      return undefined // A wrong cost: the queue says which targets know it.
    } finally {
      this.#asking = false
      this.#grant = undefined
    }
  }

  /** No call is ahead of it: takes a ticket if one is available. Returns where it looked. */
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

  /** What may happen to a call while it waits. */
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
   * Tries the targets at which nobody stands for such a call, in the order of their weights. Whoever has room takes the
   * first in the queue.
   */
  #serve(member: PoolMember): void {
    const { allowed, terms, tiers } = member
    const weights = allowed === tiers[0]!.indices ? tiers[0]!.weights : allowed.map((i) => weightOf(tiers, i))
    const round = ++this.#rounds
    for (;;) {
      const next = this.#nextPost(allowed, weights, terms, round)
      if (!next) return
      this.#fill(next)
      if (member.allowed !== allowed || !(member.lane || this.#arriving === member)) return
    }
  }

  /** Of the targets at which nobody stands for such a call, and that were not asked in this round, who is due. */
  #nextPost(
    indices: readonly number[],
    weights: readonly number[],
    terms: Terms,
    round: number,
  ): Post | undefined {
    let next: Post | undefined
    let least = Infinity
    for (let i = 0; i < indices.length; i++) {
      const post = this.#posts[indices[i]!]!
      if (post.round === round || post.terms === terms) continue
      const due = post.health.served + 1 / weights[i]!
      if (due < least) [least, next] = [due, post]
    }
    if (next) next.round = round
    return next
  }

  /** The targets of the first tiers, up to the first that need not be waited for too long. */
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

  /** Those of a tier that the call may wait for. */
  #open(member: PoolMember, { indices }: TargetTier, now: number): readonly number[] {
    const open = (index: number) => !member.rulesOut(index) && !this.#posts[index]!.health.hopeless(now)
    return indices.every(open) ? indices : indices.filter(open)
  }

  /** How long a call would wait for this target, as far as one can tell. */
  estimate(index: number, { cost }: Terms, now: number): number {
    const { health } = this.#posts[index]!
    if (!health.admits(now)) return health.opensAt() - now
    let wait = health.limiter.waitTime(cost)
    for (const { targets, queue } of this.#lanes.of(index)) {
      if (queue.size < 2) continue
      const rate = targets.reduce((sum, i) => sum + this.#posts[i]!.health.rate(now), 0)
      // The first of them stands in the limiter's own line.
      wait += (queue.size - 1) / rate
    }
    return wait
  }

  #noTarget(member: PoolMember, now: number): void {
    const { last, excluded, visited } = member.trouble
    const { tiers } = member
    if (last) return finish(member, last)
    const all = [...new Set(tiers.flatMap(({ indices }) => indices))]
    const causes = all.map((i) => this.#posts[i]!.health.hopeless(now)?.cause ?? excluded.get(i))
    // Where money is all that is missing, the error says when it comes back; a wrong option is told as it is.
    const alike = [BudgetExceededError, TypeError].some((kind) =>
      causes.every((cause) => cause instanceof kind),
    )
    if (alike) return finish(member, { error: causes[0] })
    const states = all.map((i) => {
      const { health } = this.#posts[i]!
      const tried = visited.has(i) ? 'tried' : health.state(now).state
      return `${health.target.name} (${excluded.has(i) ? whyExcluded(excluded.get(i)) : tried})`
    })
    const message = `no target can answer the call: ${states.join(', ')}`
    const cause = causes.find((one) => one !== undefined)
    finish(member, { error: new NoTargetError(message, cause) })
  }

  /** Sees to it that the target has a standby if anybody here wants it. */
  fill(index: number): void {
    this.#fill(this.#posts[index]!)
  }

  #fill(post: Post): void {
    if (post.filling) return
    post.filling = true
    try {
      while (this.#stand(post));
    } finally {
      post.filling = false
    }
    this.#told(post.index)
  }

  #first({ index }: Post): PoolMember | undefined {
    if (this.#arriving?.allowed.includes(index)) return this.#arriving
    return this.#lanes.first(index) as PoolMember | undefined
  }

  /** Returns whether a call was served, so that the next one may be. */
  #stand(post: Post): boolean {
    const { health } = post
    const first = this.#first(post)
    const admits = first !== undefined && health.admits(this.#clock.now())
    if (post.terms) {
      if (admits && post.terms === first.terms) return false
      const { leave } = post
      post.over()
      leave?.()
    }
    if (post.alarm || (first && !admits)) this.#lookAgain(post, first !== undefined && !admits)
    if (!admits) return false
    post.terms = first.terms
    post.first = first
    try {
      const leave = health.limiter.standBy(first.terms, post)
      if (!post.terms) return true
      post.leave = leave
      health.full = true
      return false
    } catch (error) {
      // A cost that this limiter does not know.
      post.over()
      this.#exclude(first, post.index, error)
      return true
    }
  }

  /** A timer for a target that is set aside while calls wait for it. */
  #lookAgain(post: Post, wanted: boolean): void {
    const { alarm, health } = post
    const at = wanted ? health.opensAt() : Infinity
    const now = this.#clock.now()
    if (alarm?.at === at) return
    alarm?.cancel()
    post.alarm = undefined
    if (at === Infinity || at <= now) return
    const ring = () => {
      post.alarm = undefined
      this.#fill(post)
    }
    post.alarm = { at, cancel: this.#clock.setTimer(ring, at - now, true) }
  }

  /** A ticket of this target, for such calls. */
  granted(post: Post, terms: Terms | undefined, grant: Grant): void {
    const member = this.#first(post)
    // Another call may be first by now, with needs that the ticket is not for.
    if (member && member.terms === terms) this.#hand(post, member, grant)
    else grant.release()
    this.#fill(post)
  }

  #hand(post: Post, member: PoolMember, grant: Grant): void {
    const { allowed, lane } = member
    const now = this.#clock.now()
    if (lane) this.#lanes.serve(member)
    else this.#arriving = undefined
    this.#rest(member, now)
    this.#catchUp(post.health, 1 / weightOf(member.tiers, post.index))
    member.index = post.index
    member.number = post.health.sentOne()
    member.grant = grant
    if (member.stickyKey !== undefined) this.#sticky.keep(member.stickyKey, post.index, now)
    member.wake?.(member)
    // Mostly the next one wants what this one wanted.
    if (
      this.#lanes.occupied.size === 1 &&
      (lane?.queue.first as PoolMember | undefined)?.terms === member.terms
    )
      return
    // What stood in the queue elsewhere for this call stands for the next one, or goes.
    for (const index of allowed) if (this.#posts[index]!.terms) this.fill(index)
  }

  /** A target that had no room for a while has saved up no turns. */
  #catchUp(health: TargetHealth, turn: number): void {
    health.served = Math.max(health.served, this.#served - 2 * turn) + turn
    this.#served = Math.max(this.#served, health.served)
  }

  /** The limiter of this target has no ticket for the call, and never will while things are as they are. */
  unable(post: Post, member: PoolMember, error: unknown): void {
    const { code } = Object(error) as { code?: unknown }
    if (code === 'REQUEST_TOO_LARGE') return this.#exclude(member, post.index, error)
    post.health.unavailable(error, this.#clock.now())
    this.review(post.index)
  }

  #exclude(member: PoolMember, index: number, why: unknown): void {
    member.trouble.excluded.set(index, why)
    if (member === this.#arriving) member.allowed = member.allowed.filter((one) => one !== index)
    this.#again(member)
  }

  /** Something about the target has changed: the calls that wait for it may have to look elsewhere. */
  review(index: number): void {
    if (this.#posts[index]!.health.hopeless(this.#clock.now())) {
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
    for (const member of members) this.place(member)
  }

  #again(member: PoolMember): void {
    if (!member.lane) return
    this.#unline(member)
    this.place(member)
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

function finish(member: PoolMember, end: PoolMember['end']): void {
  member.end = end
  member.wake?.(member)
}

function whyExcluded(error: unknown): string {
  if (error instanceof BudgetExceededError) return 'no budget'
  return error instanceof TypeError ? 'wrong cost' : 'too small'
}
