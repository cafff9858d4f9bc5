// Creates clients by name.

import type { LogRecord } from '../../telemetry/log-record.ts'
import type { Client, ClientName } from './client.ts'
import { Limiters } from './limiters.ts'
import type { JobPlan } from './plan.ts'
import { poolClient } from './pool-client.ts'
import { isPool, type PlannedLimits } from './providers.ts'
import { type OnTime, Recorder } from './recorder.ts'
import { Sdk } from './sdk.ts'
import { UsageError } from '../usage.ts'
import type { World } from './world.ts'

const MOST_RETRIES = 1000

export function readClient(flag: string, text: string): ClientName {
  const retries = /^sdk-(\d+)$/.exec(text)?.[1]
  if (text === 'llmiter' || text === 'sdk' || Number(retries) <= MOST_RETRIES) return text as ClientName
  throw new UsageError(
    `${flag} must be llmiter, sdk (OpenAI's with 2 retries) or, with another number of retries, sdk-20, got '${text}'`,
  )
}

const retriesOf = (name: ClientName) => Number(name.split('-')[1] ?? 2)

export function makeClient(
  name: ClientName,
  world: World,
  plan: JobPlan,
  limits: PlannedLimits,
  random: () => number,
  watched: OnTime | undefined,
): Client {
  if (isPool(limits)) return poolClient(world, plan, limits, watched)
  if (name === 'llmiter') {
    const limiters = new Limiters(world, plan, limits, watched)
    return {
      call: (call) => limiters.call(call),
      stop: () => limiters.stop(),
      fleet: () => limiters.fleet(),
      boundBy: () => limiters.boundBy(),
      records: () => recordsOf(limiters.recorders),
    }
  }
  const sdk = new Sdk(world, { retries: retriesOf(name), workers: plan.workers * plan.processes, random })
  if (watched) sdk.recorder = new Recorder(world.clock, watched, name, () => sdk.levels())
  return {
    call: (call) => sdk.call(call),
    stop: () => {},
    records: () => recordsOf(sdk.recorder ? [sdk.recorder] : []),
  }
}

function recordsOf(recorders: readonly Recorder[]): LogRecord[] {
  for (const recorder of recorders) recorder.close()
  return recorders.flatMap(({ records }) => records).sort((a, b) => a.t - b.t)
}
