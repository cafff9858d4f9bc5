// Runs one simulation: a client gets the plan's calls through a world in virtual time, and the outcomes are
// counted.

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

/**
 * If no call is accepted for this long, apart from an outage, none ever will: some providers count failures
 * forever.
 */
const PATIENCE_MS = 3_600_000

/** The number of the random stream for the lateness of timers. */
const LATE_STREAM = 2

export interface Ran {
  client: ClientName | 'optimum'
  tier: PlannedLimits
  calls: number
  done: number
  lost: number
  refused: number
  /** When the last call ended. */
  endMs: number
  /** The time from the arrival of a call until its last attempt was sent, for answered calls, ascending. */
  waitsMs: number[]
  /** The error of the first lost call. */
  firstLoss?: string
  fleet?: FleetShares
  /** For a pool: the number of calls that each target answered. */
  served?: number[]
  boundBy?: BoundBy[]
  records: LogRecord[]
}

export async function run(
  plan: JobPlan,
  tier: PlannedLimits,
  name: ClientName,
  recorded: boolean,
  onEnd: (over: number, all: number) => void = () => {},
): Promise<Ran> {
  const { jobs, sizes, seed, jitterMs, headers } = plan
  const [ways, waits] = [streamOf(seed, 1), streamOf(seed, 3)]
  let punctual = false
  const clock = lateClock(seed, LATE_STREAM, () => punctual)
  // The recorder must not affect the run, so its timers take no random lateness.
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

  // Ends with the last call, because processes that share a limit keep sending requests to the store for another
  // minute.
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
    onEnd(ran.done + ran.lost, jobs.length)
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
  if (starved > 0) ran.firstLoss ??= `no call was accepted for ${count(patienceMs / 3_600_000)} h`
  ran.lost += starved
  ran.refused = world.refused
  ran.records = client.records()
  if (!stopped) stop()
  ran.waitsMs.sort((a, b) => a - b)
  return ran
}

/** A limiter configured with far too little, an outage, or a long answer may delay calls without any fault. */
function patienceOf({ knobs: { outage }, told, jobs }: JobPlan): number {
  const outageMs = outage ? outage.toMs - outage.fromMs : 0
  const longestMs = jobs.reduce((longest, { serviceMs }) => Math.max(longest, serviceMs), 0)
  const share = told === 'unknown' ? 1 : Math.min(1, told)
  return PATIENCE_MS / share + outageMs + longestMs
}
