// One run: a client gets the plan's calls through a world, in virtual time, and what became of them is counted.

import type { BoundBy } from 'llmiter'
import type { LogRecord } from '../../telemetry/log-record.ts'
import { lateClock, streamOf } from '../../testing/world/seeded-run.ts'
import type { ClientName, FleetShares } from './client.ts'
import { makeClient } from './clients.ts'
import { costOf, type JobPlan, providerOf } from './plan.ts'
import type { PlannedLimits } from './providers.ts'
import type { OnTime } from './recorder.ts'
import { count } from './values.ts'
import { type SimulatedCall, World } from './world.ts'

/** When nobody got in for so long, beyond an outage, nobody will: some providers count failures for ever. */
const PATIENCE_MS = 3_600_000

/** Which of a seed's numbers say how late a timer is. */
const LATE_STREAM = 2

export interface Ran {
  client: ClientName | 'optimum'
  tier: PlannedLimits
  calls: number
  done: number
  lost: number
  refused: number
  /** When the last call was over. */
  endMs: number
  /** From the moment when a call came until it left for the last time, of those that were answered; ascending. */
  waitsMs: number[]
  /** What the first lost call said. */
  firstLoss?: string
  fleet?: FleetShares
  /** Of a pool: how many calls each target has answered. */
  served?: number[]
  boundBy?: BoundBy[]
  records: LogRecord[]
}

export async function run(
  plan: JobPlan,
  tier: PlannedLimits,
  name: ClientName,
  recorded: boolean,
): Promise<Ran> {
  const { jobs, sizes, seed, jitterMs, headers } = plan
  const [ways, waits] = [streamOf(seed, 1), streamOf(seed, 3)]
  let punctual = false
  const clock = lateClock(seed, LATE_STREAM, () => punctual)
  // Who looks on must not change what happens: his timers draw no lateness.
  const onTime: OnTime = (fn, ms) => {
    punctual = true
    const cancel = clock.setTimer(fn, ms)
    punctual = false
    return cancel
  }
  const world = new World({ clock, provider: providerOf(plan, tier), random: ways, jitterMs, headers })
  const client = makeClient(name, world, plan, tier, waits, recorded ? onTime : undefined)
  const ran: Ran = {
    ...{ client: name, tier, calls: jobs.length, done: 0, lost: 0, refused: 0, endMs: 0 },
    waitsMs: [],
    records: [],
  }
  let stopped = false
  let next = 0

  // As soon as the last call is over: processes that share a limit ask the store for a minute more.
  const stop = () => {
    stopped = true
    if (client.fleet) ran.fleet = client.fleet()
    if (client.served) ran.served = client.served()
    if (client.boundBy) ran.boundBy = client.boundBy()
    client.stop()
  }
  const end = (call: SimulatedCall, error?: unknown) => {
    if (stopped) return
    ran.endMs = clock.now()
    if (error === undefined) {
      ran.done++
      ran.waitsMs.push(call.sentAt - call.job.at)
    } else {
      ran.lost++
      ran.firstLoss ??= error instanceof Error ? error.message : String(error)
    }
    if (ran.done + ran.lost === jobs.length) stop()
  }
  const submit = () => {
    for (; next < jobs.length && jobs[next]!.at <= clock.now(); next++) {
      const call: SimulatedCall = { job: jobs[next]!, cost: costOf(sizes, jobs[next]!), sentAt: -1 }
      client.call(call).then(
        () => end(call),
        (error: unknown) => end(call, error),
      )
    }
    world.progressAt = jobs[next]?.at ?? clock.now()
    if (next < jobs.length) clock.setTimer(submit, jobs[next]!.at - clock.now())
  }
  submit()

  const patienceMs = patienceOf(plan)
  let untilMs: number
  do {
    untilMs = world.progressAt + patienceMs
    await clock.runAll({ untilMs })
  } while (world.progressAt + patienceMs > untilMs)
  const starved = jobs.length - ran.done - ran.lost
  if (starved > 0) ran.firstLoss ??= `nobody got in for ${count(patienceMs / 3_600_000)} h`
  ran.lost += starved
  ran.refused = world.refused
  ran.records = client.records()
  if (!stopped) stop()
  ran.waitsMs.sort((a, b) => a - b)
  return ran
}

/** A limiter that was told far too little, an outage or a long answer may hold calls without any fault. */
function patienceOf({ knobs: { outage }, told, jobs }: JobPlan): number {
  const outageMs = outage ? outage.toMs - outage.fromMs : 0
  const longestMs = jobs.reduce((longest, { serviceMs }) => Math.max(longest, serviceMs), 0)
  const share = told === 'unknown' ? 1 : Math.min(1, told)
  return PATIENCE_MS / share + outageMs + longestMs
}
