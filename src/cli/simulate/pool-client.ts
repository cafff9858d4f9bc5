// Simulates llmiter/pool as a program would use it: one queue in front of a limiter per target.

import { BucketRateLimiter } from 'llmiter'
import { createPool } from '../../pool/index.ts'
import type { LogRecord } from '../../telemetry/log-record.ts'
import type { Client } from './client.ts'
import { costFor, levelsOf, told, wayThrough } from './limiters.ts'
import type { JobPlan } from './plan.ts'
import type { UsageTier } from './providers.ts'
import { type Levels, type OnTime, Recorder } from './recorder.ts'
import type { SimulatedCall, World } from './world.ts'

export function poolClient(
  world: World,
  plan: JobPlan,
  tiers: readonly UsageTier[],
  watched: OnTime | undefined,
): Client {
  const limiters = tiers.map(
    (tier, i) => new BucketRateLimiter({ name: `target ${i + 1}`, ...told(plan, tier), clock: world.clock }),
  )
  const levels = (): Levels => levelsOf(limiters, 1)
  const recorder = watched && new Recorder(world.clock, watched, 'pool', levels)
  const targets = limiters.map((limiter, i) => ({
    name: limiter.name,
    limiter,
    send: wayThrough(limiter, world.at(i), plan, recorder),
  }))
  const pool = createPool({ targets })
  if (recorder) {
    for (const limiter of limiters) {
      limiter.on('refuse', () => recorder.count('refused'))
      limiter.on('finish', ({ ok }) => recorder.count(ok ? 'finished' : 'failed'))
    }
  }
  return {
    call(call: SimulatedCall) {
      recorder?.count('requests')
      const from = world.clock.now()
      return pool.run(
        ({ send }) => {
          recorder?.issued(world.clock.now() - from)
          return send(call)
        },
        { cost: costFor(plan, call) },
      )
    },
    stop: () => pool.stop('the simulation is over'),
    served: () => pool.stats().targets.map(({ answered }) => answered),
    records(): LogRecord[] {
      recorder?.close()
      return recorder?.records ?? []
    },
  }
}
