// Who shares a limit, and who of them is missing.

import { LAW, type Question } from './protocol.ts'

interface Member {
  /** When it was last heard of, in time in which anybody asked. */
  seen: number
  rank: number
  wantedAt: number
  permits: number
}

export interface Census {
  processes: number
  missing: number
  rank: number
  /** How many have calls waiting. */
  busy: number
  suspects: string[]
}

/** The longest silent first; of two alike the one whose name comes first, as in a sorted set. */
const bySilence = ([a, one]: [string, Member], [b, other]: [string, Member]) =>
  one.seen - other.seen || (a < b ? -1 : 1)

export class Members {
  readonly #members = new Map<string, Member>()
  #joined = 0
  #expected = 0

  clear(): void {
    this.#members.clear()
  }

  drop(id: string): void {
    this.#members.delete(id)
  }

  /** One asks: it is here. `alive` is the time in which anybody asked. */
  count({ id, dead, known, waiting }: Question, alive: number, now: number): Census {
    const members = this.#members
    for (const other of dead) if (other !== id) members.delete(other)
    const me = members.get(id) ?? { seen: 0, rank: ++this.#joined, wantedAt: -Infinity, permits: 0 }
    members.set(id, me)
    me.seen = alive
    if (waiting > 0) me.wantedAt = now
    let [missing, rank, busy] = [0, 0, 0]
    const suspects: string[] = []
    for (const [other, member] of [...members].sort(bySilence)) {
      const silent = alive - member.seen
      if (silent > LAW.keptMs) {
        members.delete(other)
        continue
      }
      if (silent > LAW.missingMs) missing++
      if (silent > LAW.suspectMs && suspects.length < 8) suspects.push(other)
      if (member.rank < me.rank) rank++
      if (member.wantedAt > now - 1000) busy++
    }
    let processes = members.size
    // Those who shared a state that was lost come back within moments: until then theirs is theirs.
    if (now < LAW.reunionMs) {
      this.#expected = Math.max(this.#expected, known)
      missing += Math.max(0, this.#expected - processes)
      processes = Math.max(this.#expected, processes)
    }
    return { processes, missing, rank, busy: Math.max(1, busy), suspects }
  }

  /** How many calls this process may have in flight. */
  permit({ id, concurrent, inFlight, permits }: Question, busy: number): number {
    if (concurrent === 0) return -1
    const me = this.#members.get(id)!
    let others = 0
    for (const member of this.#members.values()) if (member !== me) others += member.permits
    const fair = busy > 1 ? Math.max(1, Math.ceil(concurrent / busy)) : concurrent
    me.permits = Math.max(inFlight, Math.min(permits, fair, concurrent - others))
    return me.permits
  }
}
