// The queue of a pool. Calls that the same targets may answer stand in one fair queue, a lane. A target takes the first
// of the lanes that it serves: the highest priority, then whoever came first.

import { FairQueue, type QueueMember, type TenantQueue } from '../core/queue/fair-queue.ts'

export class LaneMember implements QueueMember<LaneMember> {
  at = -1
  seq = 0
  queue: TenantQueue<LaneMember> | undefined = undefined
  lane: Lane | undefined = undefined
  readonly priority: number
  readonly tenant: string | undefined

  constructor(priority: number, tenant: string | undefined) {
    this.priority = priority
    this.tenant = tenant
  }
}

export interface Lane {
  readonly targets: readonly number[]
  readonly queue: FairQueue<LaneMember>
}

export class Lanes {
  readonly #lanes = new Map<string, Lane>()
  #arrivals = 0
  size = 0

  /** Puts a member in line; one that has been there keeps its place. */
  add(member: LaneMember, targets: readonly number[]): void {
    const key = targets.join()
    let lane = this.#lanes.get(key)
    if (!lane) this.#lanes.set(key, (lane = { targets, queue: new FairQueue() }))
    const returned = member.seq > 0
    if (!returned) member.seq = ++this.#arrivals
    member.lane = lane
    lane.queue.add(member, returned)
    this.size++
  }

  serve(member: LaneMember): void {
    const { queue } = member.lane!
    queue.serve(member, 1)
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
    // The common lane stays: it knows whose turn it is among tenants.
    if (lane.queue.size === 0 && this.#lanes.size > 16) this.#lanes.delete(lane.targets.join())
  }

  /** Who goes next to this target. */
  first(target: number): LaneMember | undefined {
    let best: LaneMember | undefined
    for (const { targets, queue } of this.#lanes.values()) {
      if (queue.size === 0 || !targets.includes(target)) continue
      const first = queue.first!
      const before =
        !best || first.priority > best.priority || (first.priority === best.priority && first.seq < best.seq)
      if (before) best = first
    }
    return best
  }

  /** The lanes in which somebody waits. */
  *occupied(): Generator<Lane> {
    for (const lane of [...this.#lanes.values()]) if (lane.queue.size > 0) yield lane
  }
}
