// The queue of a pool. Calls that the same targets may answer wait in one fair queue, called a lane. A target
// takes the first call of all lanes that it serves: the highest priority, then the earliest arrival.

import { FairQueue, type QueueMember, type TenantQueue } from '../core/queue/fair-queue.ts'

export class LaneMember implements QueueMember<LaneMember> {
  at = -1
  seq = 0
  queue: TenantQueue<LaneMember> | undefined = undefined
  lane: Lane | undefined = undefined

  get priority(): number {
    return 0
  }

  get tenant(): string | undefined {
    return undefined
  }
}

export interface Lane {
  readonly targets: readonly number[]
  readonly queue: FairQueue<LaneMember>
}

/** How many empty lanes are kept, because they remember the turns of the tenants. */
const KEPT = 16

export class Lanes {
  readonly #lanes = new Map<string, Lane>()
  readonly #byTarget: Lane[][]
  #last: Lane | undefined
  #arrivals = 0
  size = 0
  /** The lanes in which calls wait. */
  readonly occupied = new Set<Lane>()

  constructor(targets: number) {
    this.#byTarget = Array.from({ length: targets }, () => [])
  }

  /** Assigns a new member its place. Returns whether it is new. */
  arrive(member: LaneMember): boolean {
    if (member.seq > 0) return false
    member.seq = this.nextSeq()
    return true
  }

  /** The place of a call that arrives now. */
  nextSeq(): number {
    return ++this.#arrivals
  }

  /** Adds a member to the queue. A member that returns keeps its place. */
  add(member: LaneMember, targets: readonly number[], returned: boolean): void {
    const lane = this.#laneOf(targets)
    member.lane = lane
    if (lane.queue.size === 0) this.occupied.add(lane)
    lane.queue.add(member, returned)
    this.size++
  }

  #laneOf(targets: readonly number[]): Lane {
    if (this.#last?.targets === targets) return this.#last
    const key = targets.join()
    let lane = this.#lanes.get(key)
    if (!lane) {
      lane = { targets, queue: new FairQueue() }
      this.#lanes.set(key, lane)
      for (const target of targets) this.#byTarget[target]!.push(lane)
    }
    return (this.#last = lane)
  }

  serve(member: LaneMember): void {
    member.lane!.queue.serve(member, 1)
    this.#left(member)
  }

  remove(member: LaneMember): void {
    member.lane!.queue.remove(member)
    this.#left(member)
  }

  #left(member: LaneMember): void {
    const lane = member.lane!
    member.lane = undefined
    this.size--
    if (lane.queue.size > 0) return
    this.occupied.delete(lane)
    if (this.#lanes.size <= KEPT) return
    this.#lanes.delete(lane.targets.join())
    this.#last = undefined
    for (const target of lane.targets) {
      const lanes = this.#byTarget[target]!
      lanes.splice(lanes.indexOf(lane), 1)
    }
  }

  /** The lanes that this target serves. */
  of(target: number): readonly Lane[] {
    return this.#byTarget[target]!
  }

  /** The call that this target takes next. */
  first(target: number): LaneMember | undefined {
    let best: LaneMember | undefined
    for (const { queue } of this.#byTarget[target]!) {
      const { first } = queue
      if (!first) continue
      const before =
        !best || first.priority > best.priority || (first.priority === best.priority && first.seq < best.seq)
      if (before) best = first
    }
    return best
  }
}
