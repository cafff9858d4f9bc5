// What the stories of this folder share: a fleet of limiters on one virtual clock and one store in memory. Each limiter stands for
// a process; the provider's side is the list of departures.

import { BucketRateLimiter, type LimiterOptions } from 'llmiter'
import { memoryStore, type MemoryStoreOptions, VirtualClock } from 'llmiter/testing'

export interface FleetRigOptions {
  limiter?: Partial<LimiterOptions>
  store?: MemoryStoreOptions
}

export function fleetRig(
  processes: number,
  { limiter = {}, store: storeOptions = {} }: FleetRigOptions = {},
) {
  const clock = new VirtualClock({ seed: 3 })
  const store = memoryStore({ lagMs: 2, ...storeOptions })
  const times: number[] = []
  const by: number[] = Array.from({ length: processes }, () => 0)
  const dead = new Set<number>()
  const join = () => new BucketRateLimiter({ name: 'fleet', ramp: false, store, clock, ...limiter })
  const fleet = Array.from({ length: processes }, join)
  const rejected: unknown[] = []
  const call = async (i: number) => {
    if (dead.has(i)) return new Promise(() => {})
    times.push(clock.now())
    by[i]!++
    return clock.sleep(100)
  }
  return {
    ...{ clock, store, fleet, times, by, rejected, join },
    /** Each makes this many calls. */
    backlog(calls: number, of = fleet.map((_, i) => i)) {
      for (const i of of)
        for (let k = 0; k < calls; k++)
          fleet[i]!.run(() => call(i)).catch((error: unknown) => rejected.push(error))
    },
    /** Like kill −9: the process sends nothing more. */
    kill(i: number) {
      dead.add(i)
      store.kill(i)
      fleet[i]!.pause()
    },
  }
}

export { between, mostIn } from '../../bench/fleet/count.ts'
