/**
 * One run: a client gets a workload through a world to a provider, and the results are summed up.
 *
 * A backlog ends at the horizon. A call that is not accepted by then counts as starved if twice a backlog of later
 * calls has been accepted. Calls of other workloads are waited for half an hour longer.
 */
import { VirtualClock } from '../../src/testing/index.ts'
import type { ModelProvider } from '../../src/testing/index.ts'
import { lateClock, streamOf } from '../../src/testing/world/seeded-run.ts'
import { thin, type Figures } from './case.ts'
import type { Client } from './clients/client.ts'
import { arrivals, DEPTH, serviceMs, type Workload } from './workloads.ts'
import { World, type Call, type WorldOptions } from './world.ts'

const PATIENCE_MS = 1_800_000
export const MINUTE = 60_000
/** The number of the random stream for the durations of answers. */
export const SERVICE_STREAM = 4

export interface RunOptions extends Pick<WorldOptions, 'headers' | 'refusedMs' | 'stalls'> {
  seed: number
  minutes: number
  jitterMs: number
  workload: Workload | readonly number[]
  provider(phaseMs: number): ModelProvider
  client(world: World): Client | Promise<Client>
  /** False: calls that are not finished at the end are not waited for. */
  patient?: boolean
  /** Properties of the n-th call. */
  describe?(index: number): Partial<Call>
}

export interface Ran {
  world: World
  calls: Call[]
  endMs: number
}

/** The virtual time of this process, which faked globals follow. */
export const present: { clock: VirtualClock } = { clock: new VirtualClock() }

export async function run(options: RunOptions): Promise<Ran> {
  const { seed, minutes, workload, describe, patient = true } = options
  const clock = (present.clock = lateClock(seed))
  const [phase, ways, plan, service] = [1, 2, 3, SERVICE_STREAM].map((stream) => streamOf(seed, stream)) as [
    () => number,
    () => number,
    () => number,
    () => number,
  ]
  const world = new World({ ...options, clock, random: ways, provider: options.provider(phase() * MINUTE) })
  const client = await options.client(world)
  const endMs = minutes * MINUTE
  const calls: Call[] = []
  const again = workload === 'backlog'
  let open = 0

  const submit = (): void => {
    const call: Call = {
      index: calls.length,
      at: clock.now(),
      serviceMs: serviceMs(service),
      sentAt: -1,
      refusals: 0,
      admissions: 0,
      admittedAt: -1,
      ...describe?.(calls.length),
    }
    calls.push(call)
    open++
    const end = (how: 'done' | 'lost') => {
      open--
      if (clock.now() >= endMs && again) return
      call.end = how
      world.forget(call)
      if (again) submit()
    }
    client.call(call).then(
      () => end('done'),
      () => end('lost'),
    )
  }

  const times = typeof workload === 'string' ? arrivals(workload, endMs, plan) : workload
  for (const at of times) {
    if (at > clock.now()) clock.setTimer(submit, at - clock.now())
    else submit()
  }
  await clock.advance(endMs)
  while (!again && patient && open > 0 && clock.now() < endMs + PATIENCE_MS) await clock.advance(10_000)
  client.stop()
  return { world, calls, endMs }
}

/** The numbers that every run reports. */
export function summary({ world, calls, endMs }: Ran, again: boolean): Figures {
  const count = (times: readonly number[], from: number, to = endMs) =>
    times.filter((at) => at >= from && at < to).length
  const ended = calls.filter(({ end }) => end)
  const through = calls.filter(({ end }) => end === 'done')
  return {
    counts: {
      runs: 1,
      calls: calls.length,
      done: through.length,
      lost: ended.length - through.length,
      starved: again ? passedOver(calls) : calls.length - ended.length,
      twice: calls.filter(({ admissions }) => admissions > 1).length,
      admitted: count(world.admittedAt, 0),
      after2: count(world.admittedAt, 2 * MINUTE),
      after3: count(world.admittedAt, 3 * MINUTE),
      refused: count(world.refusedAt, 0, Infinity),
      refusedAfter3: count(world.refusedAt, 3 * MINUTE),
      sent: world.sentAt.length,
      overtakings: world.overtakings,
      hung: world.hungAt.length,
    },
    samples: { waitMs: thin(through.map(({ sentAt, at }) => sentAt - at)) },
  }
}

function passedOver(calls: readonly Call[]): number {
  const last = calls.findLastIndex(({ admissions }) => admissions > 0)
  return calls
    .slice(0, Math.max(0, last - 2 * DEPTH))
    .filter(({ admissions, end }) => admissions === 0 && !end).length
}
