// Who shares a limit, and who of them is missing.
//
// Ten thousand may ask several times a second, so nobody is counted one by one: whoever is heard of goes to the end of the
// map, and those who are silent, or want nothing any more, stand at its beginning.

import { LAW, type LeaseRequest } from '../../distributed/protocol.ts'

interface Member {
  /** When it was last heard of, in time in which anybody asked. */
  seen: number
  /** The same in the time of the state; -1 when it is new. */
  heard: number
  rank: number
  permits: number
}

export interface Census {
  processes: number
  missing: number
  rank: number
  /** When this one asked before, as far as the store remembers; -1: never. */
  heard: number
  /** The last of those who shared a state that was lost tells its past. */
  complete: boolean
  /** How many have calls waiting. */
  busy: number
  suspects: string[]
}

const MOST_SUSPECTS = 8

/** The longest silent first; of two alike the one whose name comes first, as in a sorted set. */
const bySilence = ([a, one]: [string, Member], [b, other]: [string, Member]) =>
  one.seen - other.seen || (a < b ? -1 : 1)

export class Members {
  /** The longest silent first. */
  readonly #members = new Map<string, Member>()
  /** When each last had calls waiting; the longest ago first. */
  readonly #wanting = new Map<string, number>()
  /** Of those who are here, ascending. */
  #ranks: number[] = []
  /** The sum of all. */
  #permits = 0
  /** So long everybody keeps to its part of the calls in flight. */
  #partsTill = -1
  #joined = 0
  /** The latest time at which any of them counts as heard of. */
  #lastSeen = 0
  #expected = 0
  /** Those who shared another state, and have not told their past yet. */
  #untold = 0

  clear(): void {
    this.#members.clear()
    this.#wanting.clear()
    this.#ranks = []
    this.#permits = 0
  }

  has(id: string): boolean {
    return this.#members.has(id)
  }

  /** One that is gone is not expected any more either. */
  drop(id: string): void {
    const member = this.#members.get(id)
    if (!member) return
    this.#members.delete(id)
    this.#wanting.delete(id)
    this.#ranks.splice(this.#before(member.rank), 1)
    this.#permits -= member.permits
    this.#expected--
  }

  /** One asks: it is here. `alive` is the time in which anybody asked; a stranger has shared a state that was lost. */
  count(
    { id, gen, alone, dead, known, waiting, lagMs, declared }: LeaseRequest,
    stranger: boolean,
    alive: number,
    now: number,
  ): Census {
    const members = this.#members
    for (const other of dead) if (other !== id) this.drop(other)
    const me = members.get(id) ?? this.#join()
    const { heard } = me
    this.#hear(id, me, alone ? alive - LAW.missingMs - 1 : alive + lagMs)
    if (stranger) this.#untold++
    else me.heard = now
    const tells = !stranger && heard < 0 && gen !== '' && --this.#untold === 0
    const { suspects, ...silent } = this.#silent(alive, declared)
    let { missing } = silent
    let processes = members.size
    // Those who shared a state that was lost, and are not heard of, may be cut off: theirs is theirs.
    if (stranger) this.#expected = Math.max(this.#expected, known)
    if (now < LAW.keptMs) {
      missing += Math.max(0, this.#expected - processes)
      processes = Math.max(this.#expected, processes)
    }
    const busy = Math.max(1, this.#busy(id, waiting, now))
    const names = suspects.sort(bySilence).map(([other]) => other)
    return {
      ...{ processes, missing, heard, busy, rank: this.#before(me.rank) },
      complete: tells && missing === 0,
      suspects: names.slice(0, MOST_SUSPECTS),
    }
  }

  /** Who was not heard of for a while, and how many of them are missing. Those who were for too long are dropped. */
  #silent(alive: number, declared: number): { suspects: [string, Member][]; missing: number } {
    const members = this.#members
    let missing = 0
    const suspects: [string, Member][] = []
    for (const [other, member] of members) {
      const silent = alive - member.seen
      if (silent > LAW.keptMs && members.size > declared) {
        this.drop(other)
        continue
      }
      const enough = suspects.length >= MOST_SUSPECTS && member.seen > suspects.at(-1)![1].seen
      if (silent > LAW.suspectMs && !enough) suspects.push([other, member])
      if (silent > LAW.missingMs) missing++
      else if (silent <= LAW.suspectMs || enough) break
    }
    return { suspects, missing }
  }

  /**
   * How many calls this process may have in flight: as many as are free, until somebody has less than its part and finds
   * none; then all keep to their parts for a while. What a division leaves over goes round.
   */
  permit({ id, concurrent, inFlight, permits }: LeaseRequest, busy: number, now: number): number {
    if (concurrent === 0) return -1
    const me = this.#members.get(id)!
    const others = this.#permits - me.permits
    const free = Math.max(0, concurrent - others)
    const over = concurrent % busy
    const turn = this.#before(me.rank) + over * Math.floor(now / LAW.turnMs)
    const part = Math.floor(concurrent / busy) + (turn % busy < over ? 1 : 0)
    if (free < Math.min(permits, part)) this.#partsTill = now + LAW.partsMs
    const allowed = Math.min(permits, free, now < this.#partsTill ? part : Infinity)
    me.permits = Math.max(inFlight, allowed)
    this.#permits = others + me.permits
    return allowed
  }

  #join(): Member {
    const rank = ++this.#joined
    this.#ranks.push(rank)
    return { seen: 0, heard: -1, rank, permits: 0 }
  }

  /** To the end of the map, but before those who count as heard later: far ones do, and one that goes on alone is silent. */
  #hear(id: string, me: Member, seen: number): void {
    const members = this.#members
    const isLast = seen >= this.#lastSeen
    const later = isLast ? [] : [...members].filter(([other, member]) => other !== id && member.seen > seen)
    this.#lastSeen = Math.max(this.#lastSeen, seen)
    me.seen = seen
    for (const [other, member] of [[id, me] as const, ...later]) {
      members.delete(other)
      members.set(other, member)
    }
  }

  /** How many joined before the one of this rank. */
  #before(rank: number): number {
    let [low, high] = [0, this.#ranks.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#ranks[middle]! < rank) low = middle + 1
      else high = middle
    }
    return low
  }

  /** How many had calls waiting within the last second. */
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
