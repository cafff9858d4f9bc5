// Who is next: priority with ageing, then tenants in fair turns, then the refused before the new, first come
// first served.
//
//   levels    one for each priority. A level ages by one step for every 16 tickets that go ahead of it, so a
//             chat at priority 1 overtakes a job at 0, and the job still gets every 17th ticket. Counted in
//             tickets, not in time, ageing means the same at 10 a minute and at 10,000. As all levels age
//             alike, `last served − 16 · priority` never changes while a level waits: a heap orders them. Without
//             ageing the higher priority goes first, always.
//   turns     start-time fair queueing (Goyal, Vin, Cheng 1996): the tenant that has used the least goes
//             next, and a pause earns no credit.
//   queue     the new in order of arrival, the refused by the place they first had.

import { Heap, type HeapItem } from '../../lib/heap.ts'

/** The fields of a queued call that the line reads and writes. */
export interface QueueMember<M extends QueueMember<M>> extends HeapItem {
  /** The order of first arrival. */
  seq: number
  readonly priority: number
  readonly tenant: string | undefined
  queue: TenantQueue<M> | undefined
}

const AGE = 16
/** A tenant that returns from a rest is this many tickets ahead of the others. */
const CATCH_UP = 4
/** How many empty queues and levels are kept, to avoid creating one for each call. */
const KEPT = 16

/** One tenant's calls at one priority. */
export class TenantQueue<M extends QueueMember<M>> implements HeapItem {
  at = -1
  /** Virtual time: what this queue has used, in shares of the limits. */
  used = 0
  /** Breaks ties between queues with equal use: the earliest arrival goes first. */
  since = 0
  size = 0
  readonly level: PriorityLevel<M>
  readonly tenant: string | undefined
  // An array, since the links of a list would be most of what the garbage collector has to follow. A call
  // that leaves from the middle stays in it, marked by having no queue, until half of it is empty.
  #new: (M | undefined)[] = []
  #head = 0
  /** How many have left from the middle, at most. */
  #gone = 0
  #returned: Heap<M> | undefined

  constructor(level: PriorityLevel<M>, tenant: string | undefined) {
    this.level = level
    this.tenant = tenant
  }

  get first(): M | undefined {
    if (this.#returned?.first) return this.#returned.first
    const all = this.#new
    while (this.#head < all.length && !this.#stands(all[this.#head])) all[this.#head++] = undefined
    return all[this.#head]
  }

  get last(): M | undefined {
    const all = this.#new
    while (all.length > this.#head && !this.#stands(all.at(-1))) all.pop()
    return all.length > this.#head ? all.at(-1) : undefined
  }

  /** The one that has waited longest among those that were never sent. */
  get oldest(): M | undefined {
    for (let i = this.#head; i < this.#new.length; i++) if (this.#stands(this.#new[i])) return this.#new[i]
    return undefined
  }

  add(member: M, returned: boolean): void {
    this.size++
    member.queue = this
    if (returned) {
      this.#returned ??= new Heap((a, b) => a.seq < b.seq)
      this.#returned.push(member)
    } else this.#new.push(member)
  }

  remove(member: M): void {
    this.size--
    member.queue = undefined
    if (member.at >= 0) this.#returned!.remove(member)
    else if (this.#new[this.#head] === member) this.#new[this.#head++] = undefined
    else this.#gone++
    const { length } = this.#new
    if (length < KEPT) return
    if (2 * this.#head > length) {
      this.#new = this.#new.slice(this.#head)
      this.#head = 0
    } else if (2 * this.#gone > length) {
      this.#new = this.#new.filter((item) => this.#stands(item))
      this.#head = this.#gone = 0
    }
  }

  /** Some of its calls: each `step`th of the new, and all that came back. */
  sample(step: number): M[] {
    const found = [...(this.#returned?.values() ?? [])]
    for (let i = this.#head; i < this.#new.length; i += step)
      if (this.#stands(this.#new[i])) found.push(this.#new[i]!)
    return found
  }

  /** Whether a place among the new is still its member's: a call that left may be back among the returned. */
  #stands(member: M | undefined): boolean {
    return member?.queue === this && member.at < 0
  }
}

class PriorityLevel<M extends QueueMember<M>> implements HeapItem {
  at = -1
  served = 0
  readonly priority: number
  readonly turns = new Heap<TenantQueue<M>>(
    (a, b) => a.used < b.used || (a.used === b.used && a.since < b.since),
  )
  readonly queues = new Map<string | undefined, TenantQueue<M>>()
  /** The virtual time of the queue served last. */
  clock = 0
  /** The share that the last ticket took. */
  share = 0
  sweepAt = KEPT

  constructor(priority: number) {
    this.priority = priority
  }

  /** A tenant that rested may catch up on a few tickets only, just as a lone one may burst. */
  get since(): number {
    return this.clock - CATCH_UP * this.share
  }

  /** No call waits: all turns are even again. */
  rest(): void {
    if (this.queues.size > KEPT) this.queues.clear()
    for (const queue of this.queues.values()) queue.used = 0
    this.clock = this.share = 0
    this.sweepAt = KEPT
  }

  /** Forgets the empty queues whose turns have come to nothing. Each sweep doubles the way to the next. */
  sweep(): void {
    for (const [tenant, queue] of this.queues) {
      if (queue.at < 0 && queue.used <= this.since) this.queues.delete(tenant)
    }
    this.sweepAt = 2 * this.queues.size + KEPT
  }
}

export class FairQueue<M extends QueueMember<M>> {
  readonly #levels = new Map<number, PriorityLevel<M>>()
  #ageing = true
  readonly #order = new Heap<PriorityLevel<M>>((a, b) => {
    if (!this.#ageing) return a.priority > b.priority
    const [x, y] = [a.served - AGE * a.priority, b.served - AGE * b.priority]
    return x < y || (x === y && a.priority < b.priority)
  })
  #tickets = 0
  /** Where the last call stood, while it is remembered: mostly that of the next one, too. */
  last: TenantQueue<M> | undefined = undefined
  size = 0

  /** Whether lower priorities get tickets while higher ones wait. This prevents starvation. */
  set ageing(ageing: boolean) {
    if (ageing === this.#ageing) return
    const levels = [...this.#order.values()]
    for (const level of levels) this.#order.remove(level)
    this.#ageing = ageing
    for (const level of levels) this.#order.push(level)
  }

  /** Whether turns matter: several queues, or some that may come back. */
  get contested(): boolean {
    return this.#levels.size > 1 || (this.#order.first?.queues.size ?? 0) > 1
  }

  get first(): M | undefined {
    return this.#order.first?.turns.first?.first
  }

  add(member: M, returned = false): void {
    const queue = this.#queueOf(member)
    const { level } = queue
    queue.add(member, returned)
    this.size++
    if (queue.at < 0) {
      queue.used = Math.max(queue.used, level.since)
      queue.since = member.seq
      level.turns.push(queue)
    }
    if (level.at < 0) {
      level.served = this.#tickets
      this.#order.push(level)
    }
  }

  #queueOf({ priority, tenant }: M): TenantQueue<M> {
    const { last } = this
    if (last && last.level.priority === priority && last.tenant === tenant && last.at >= 0) return last
    let level = this.#levels.get(priority)
    if (!level) this.#levels.set(priority, (level = new PriorityLevel(priority)))
    let queue = level.queues.get(tenant)
    if (!queue) level.queues.set(tenant, (queue = new TenantQueue(level, tenant)))
    this.last = queue
    return queue
  }

  /** The member gets its ticket, which takes this share of the limits: its queue and its level have had a turn. */
  serve(member: M, share: number): void {
    const queue = member.queue!
    const { level } = queue
    level.clock = Math.max(level.clock, queue.used)
    level.share = share
    queue.used += share
    level.served = ++this.#tickets
    this.remove(member)
    if (queue.at >= 0) {
      queue.since = queue.first!.seq
      level.turns.moved(queue)
    }
    if (level.at >= 0) this.#order.moved(level)
  }

  /** About this many of the calls that wait, spread over the queue; all, if there are no more. */
  sample(most: number): M[] {
    const step = Math.ceil(this.size / most)
    return [...this.#order.values()].flatMap(({ turns }) =>
      turns.values().flatMap((queue) => queue.sample(step)),
    )
  }

  remove(member: M): void {
    const queue = member.queue!
    const { level } = queue
    queue.remove(member)
    this.size--
    if (queue.size > 0) return
    level.turns.remove(queue)
    if (level.turns.size > 0) {
      if (level.queues.size > level.sweepAt) level.sweep()
      return
    }
    level.rest()
    this.#order.remove(level)
    if (this.#levels.size > 2 * this.#order.size + KEPT) this.#levels.delete(level.priority)
    // A forgotten queue is created anew.
    if (this.#levels.get(level.priority)?.queues.get(queue.tenant) !== queue) this.last = undefined
  }

  /** The call to drop first: of the lowest priority, the newest of the tenant with most waiting. */
  get least(): M | undefined {
    let least: M | undefined
    let most = 0
    for (const level of this.#order.values()) {
      if (least && level.priority > least.priority) continue
      for (const { last, size } of level.turns.values()) {
        if (last && (!least || last.priority < least.priority || size > most)) [least, most] = [last, size]
      }
    }
    return least
  }

  /** Of the lowest priority, the call that came first and was never sent. */
  get oldest(): M | undefined {
    let oldest: M | undefined
    for (const level of this.#order.values())
      for (const { oldest: one } of level.turns.values()) {
        const before = one && oldest && (one.priority - oldest.priority || one.seq - oldest.seq)
        if (one && (before === undefined || before < 0)) oldest = one
      }
    return oldest
  }
}
