// Tracks the processes that share a limit, and which of them are missing.
//
// Ten thousand processes may send several requests per second, so members are never scanned one by one. A process
// that sends a request moves to the end of the map. Silent members, and members without waiting calls, are at its
// beginning.

import { type HeapTimer, TimerHeap } from '../timer-heap.ts'
import { LAW, type LeaseRequest } from '../../distributed/protocol.ts'

interface Member {
  /** When it last sent a request, measured in time during which requests arrived. */
  seen: number
  /** The same in the state's time. -1 if it is new. */
  heard: number
  rank: number
  permits: number
  /** How many processes it was told exist: the minimum of the last two answers. */
  of: number
  /** How long its share is reserved once it becomes silent, and the size of that share. */
  keepMs: number
  part: number
  /** What it was leased, in ms of the rate. */
  served: number
  /** Its entry among the members that did not get all they wanted. */
  short: HeapTimer | undefined
}

export interface Census {
  processes: number
  missing: number
  /** The total share reserved for missing processes: each of them continues with its own. */
  kept: number
  /** The share that was reserved until now and is given to the others. */
  released: number
  rank: number
  /** How many calls this process may have in flight. */
  permits: number
  /** When this process sent its previous request, if the store remembers. -1: never. */
  heard: number
  /** Whether this is the last member of a lost state to report its past. */
  complete: boolean
  /** How many processes have waiting calls. */
  busy: number
  suspects: string[]
}

const MOST_SUSPECTS = 8

/** Earliest first. Equal times are ordered by name, as in a sorted set. */
const byTime = ([a, one]: [string, number], [b, other]: [string, number]) => one - other || (a < b ? -1 : 1)

export class Members {
  readonly #members = new Map<string, Member>()
  /** Present members, longest silent first. */
  readonly #present = new Map<string, Member>()
  /** Missing members, and until when their shares are reserved. */
  readonly #missing = new Map<string, number>()
  #kept = 0
  /** When each member last had waiting calls, longest ago first. */
  readonly #wanting = new Map<string, number>()
  /** The ranks of present members, ascending. */
  #ranks: number[] = []
  /** The sum of all permits. */
  #permits = 0
  /** Until when all members keep to their parts of the calls in flight. */
  #partsTill = -1
  #joined = 0
  /** The latest time of any member's request. */
  #lastSeen = 0
  #expected = 0
  /** Members of another state that have not reported their past yet. */
  #untold = 0

  /** Members that did not get all they wanted, by what they were leased. */
  #short = new TimerHeap()
  /** What the least served of them was leased. New members start here. */
  #least = 0

  /** How far this member is ahead of the least served one, in ms of the rate. */
  turn(id: string, most: number): number {
    const me = this.#members.get(id)!
    me.served = Math.max(me.served, this.#least)
    this.#least = Math.max(this.#least, Math.min(this.#short.first()?.at ?? Infinity, me.served))
    me.served = Math.min(me.served, this.#least + most)
    return me.served - this.#least
  }

  /** Records that it was leased this much more, and whether it still wants more. */
  served(id: string, ms: number, short: boolean): void {
    const me = this.#members.get(id)!
    me.served += ms
    this.#content(me)
    if (short) me.short = this.#short.add(me.served, () => {})
  }

  clear(): void {
    this.#short = new TimerHeap()
    this.#members.clear()
    this.#present.clear()
    this.#missing.clear()
    this.#wanting.clear()
    this.#ranks = []
    this.#permits = 0
  }

  /** How many calls all may have in flight. If nothing limits them, how many they had. */
  get permits(): number {
    return this.#permits
  }

  has(id: string): boolean {
    return this.#members.has(id)
  }

  /** Removes a member that is gone, which is no longer expected either. */
  drop(id: string): void {
    const member = this.#members.get(id)
    if (!member) return
    this.#members.delete(id)
    this.#present.delete(id)
    this.#found(id, member)
    this.#content(member)
    this.#wanting.delete(id)
    this.#ranks.splice(this.#before(member.rank), 1)
    this.#permits -= member.permits
    this.#expected--
  }

  /**
   * Records a request of a member, which is therefore present. `alive` is the time during which requests arrived.
   * A stranger shared a lost state.
   */
  count(request: LeaseRequest, stranger: boolean, alive: number, now: number): Census {
    const { id, gen, alone, dead, known, waiting, lagMs, declared, keepMs } = request
    const members = this.#members
    for (const other of dead) if (other !== id) this.drop(other)
    const me = members.get(id) ?? this.#join(id)
    const { heard } = me
    this.#present.delete(id)
    this.#found(id, me)
    if (waiting === 0) this.#content(me)
    if (!alone) this.#hear(id, me, alive + lagMs)
    if (stranger) this.#untold++
    else me.heard = now
    const tells = !stranger && heard < 0 && gen !== '' && --this.#untold === 0
    this.#miss(alive)
    const released = this.#release(alive, declared)
    const all = members.size
    me.keepMs = keepMs
    me.part = keepMs > 0 ? 1 / Math.max(declared, Math.min(me.of || all, all)) : 0
    me.of = all
    if (alone) this.#lose(id, me, alive + keepMs)
    // Silent members of a lost state may be cut off, so their shares stay reserved.
    if (stranger) this.#expected = Math.max(this.#expected, known)
    const lost = now < LAW.keptMs ? Math.max(0, this.#expected - all) : 0
    const missing = this.#missing.size + lost
    return {
      ...{ processes: all + lost, missing, kept: this.#kept + lost / (all + lost), released },
      ...{
        heard,
        permits: me.permits,
        busy: Math.max(1, this.#busy(id, waiting, now)),
        rank: this.#before(me.rank),
      },
      complete: tells && missing === 0,
      suspects: this.#suspects(alive),
    }
  }

  /** Members that were silent for a while become missing if they have a share. Otherwise they are removed. */
  #miss(alive: number): void {
    for (const [other, member] of this.#present) {
      if (alive - member.seen <= LAW.missingMs) break
      this.#present.delete(other)
      if (member.keepMs > LAW.missingMs) this.#lose(other, member, member.seen + member.keepMs)
      else this.drop(other)
    }
  }

  #lose(id: string, member: Member, until: number): void {
    this.#missing.set(id, until)
    this.#kept += member.part
    this.#content(member)
  }

  /** It no longer waits for a turn. */
  #content(member: Member): void {
    if (member.short) this.#short.remove(member.short)
    member.short = undefined
  }

  #found(id: string, { part }: Member): void {
    if (!this.#missing.delete(id)) return
    this.#kept = this.#missing.size > 0 ? this.#kept - part : 0
  }

  /** Releases shares that were reserved long enough. */
  #release(alive: number, declared: number): number {
    const over = [...this.#missing].filter(([, until]) => until < alive)
    let released = 0
    for (const [other] of over.sort(byTime)) {
      if (this.#members.size <= declared) break
      released += this.#members.get(other)!.part
      this.drop(other)
    }
    return released
  }

  /** Missing members first, then those that may become missing soon. */
  #suspects(alive: number): string[] {
    const missing = [...this.#missing].sort(byTime)
    const silent: [string, number][] = []
    for (const [other, { seen }] of this.#present) {
      const enough = silent.length >= MOST_SUSPECTS && seen > silent.at(-1)![1]
      if (alive - seen <= LAW.suspectMs || enough) break
      silent.push([other, seen])
    }
    return [...missing, ...silent.sort(byTime)].slice(0, MOST_SUSPECTS).map(([other]) => other)
  }

  /**
   * How many calls this process may have in flight: as many as are free, until some process has less than its part
   * and finds none. Then all keep to their parts for a while. The remainder of the division rotates.
   */
  permit({ id, inFlight, permits }: LeaseRequest, most: number, busy: number, now: number): number {
    const me = this.#members.get(id)!
    const others = this.#permits - me.permits
    me.permits = inFlight
    this.#permits = others + inFlight
    if (most === Infinity) return -1
    const free = Math.max(0, most - others)
    const over = most % busy
    const turn = this.#before(me.rank) + over * Math.floor(now / LAW.turnMs)
    const part = Math.floor(most / busy) + (turn % busy < over ? 1 : 0)
    if (free < Math.min(permits, part)) this.#partsTill = now + LAW.partsMs
    const allowed = Math.min(permits, free, now < this.#partsTill ? part : Infinity)
    me.permits = Math.max(inFlight, allowed)
    this.#permits = others + me.permits
    return allowed
  }

  #join(id: string): Member {
    const rank = ++this.#joined
    this.#ranks.push(rank)
    const member = {
      seen: 0,
      heard: -1,
      rank,
      permits: 0,
      of: 0,
      keepMs: 0,
      part: 0,
      served: 0,
      short: undefined,
    }
    this.#members.set(id, member)
    return member
  }

  /** Moves the member to the end of the map, but before members with a later time, which distant ones have. */
  #hear(id: string, me: Member, seen: number): void {
    const members = this.#present
    const isLast = seen >= this.#lastSeen
    const later = isLast ? [] : [...members].filter(([other, member]) => other !== id && member.seen > seen)
    this.#lastSeen = Math.max(this.#lastSeen, seen)
    me.seen = seen
    for (const [other, member] of [[id, me] as const, ...later]) {
      members.delete(other)
      members.set(other, member)
    }
  }

  /** How many joined before the member of this rank. */
  #before(rank: number): number {
    let [low, high] = [0, this.#ranks.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#ranks[middle]! < rank) low = middle + 1
      else high = middle
    }
    return low
  }

  /** How many had waiting calls within the last second. */
  #busy(id: string, waiting: number, now: number): number {
    if (waiting > 0) {
      this.#wanting.delete(id)
      this.#wanting.set(id, now)
    }
    for (const [other, at] of this.#wanting) {
      if (at > now - 1000) break
      this.#wanting.delete(other)
    }
    return this.#wanting.size
  }
}
