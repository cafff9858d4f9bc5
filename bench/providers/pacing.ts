/**
 * The cross product: provider × the user's configured limit × workload × network jitter.
 *
 * Goodput is the number of accepted calls ÷ the maximum that any client could have achieved (`optimumMs` of the
 * model, including full buckets and window edges). "Steady" leaves out the first two minutes and what only a lucky
 * edge can give: accepted calls ÷ limit × time. Both are shown next to refusals, since a client that hammers also
 * reaches 100 %.
 */
import { pool, type Case, type ClientName, type Figures } from './case.ts'
import { loadClient } from './clients/index.ts'
import type { Setup } from './clients/client.ts'
import { streamOf } from '../../src/testing/world/seeded-run.ts'
import { allowed, models, optimum, RPM, TOLD, type Model, type Told } from './models.ts'
import { MINUTE, run, SERVICE_STREAM, summary, type RunOptions } from './run.ts'
import { serviceMs, type Workload } from './workloads.ts'

export interface Pacing {
  model: string
  told: Told
  workload: Workload
  jitterMs: number
  /** Every answer reports the limits. */
  headers: boolean
  /** Whether the user has configured the window in which the provider counts. */
  window: boolean
}

const MINUTES = { backlog: 20, poisson: 10, trains: 10 } as const

/** The subject of each case, for goals. */
export const pacings = new WeakMap<Case, Pacing>()

export function pacingCases(): Case[] {
  return Object.keys(models).flatMap((model) => {
    const cases: Case[] = []
    const add = (told: Told, rest: Partial<Pacing> = {}, quick = false) => {
      const pacing = {
        model,
        told,
        workload: 'backlog',
        jitterMs: 50,
        headers: false,
        window: false,
        ...rest,
      } as const
      cases.push(pacingCase(pacing, quick))
    }
    // If the provider counts in a shorter window, a user who knows that configures it.
    const { kind, window } = models[model]!
    const known = window !== undefined
    for (const told of models[model]!.told ?? (Object.keys(TOLD) as Told[])) {
      const unknown = told === 'low' || told === 'high'
      add(told, { window: known && !unknown }, true)
      if (known && !unknown) add(told, {}, told === 'right')
      if (told !== 'half') add(told, { headers: true }, told === 'double' || kind === 'step')
      for (const jitterMs of [20, 200]) add(told, { jitterMs, window: known && !unknown })
      // A load of 80 % of the limit is too much for half of it, whichever client sends it.
      if (told === 'half' || kind === 'step' || kind === 'acceleration') continue
      for (const workload of ['poisson', 'trains'] as const) {
        add(told, { workload, window: known && !unknown }, told === 'right')
      }
    }
    return cases
  })
}

function pacingCase(pacing: Pacing, quick: boolean): Case {
  const { model, told, workload, jitterMs, headers, window } = pacing
  const marks = `${window ? '+window' : ''}${headers ? '+headers' : ''}`
  const made: Case = {
    id: `${model}/${told}${marks}/${workload}/j${jitterMs}`,
    section: workload,
    title: `${models[model]!.title}: ${told}${window ? ', window' : ''}${headers ? ', headers' : ''}${jitterMs === 50 ? '' : `, J ${jitterMs}`}`,
    model,
    clients: ['llmiter'],
    quick,
    run: (client, seed) => pace(pacing, MINUTES[workload], client, seed),
  }
  pacings.set(made, pacing)
  return made
}

/** Runs one client with one seed. `describe` returns properties of the n-th call. */
export async function pace(
  pacing: Pacing,
  minutes: number,
  clientName: ClientName,
  seed: number,
  describe?: RunOptions['describe'],
): Promise<Figures> {
  const { workload, told, jitterMs, headers } = pacing
  const model = models[pacing.model]!
  const setup: Setup = {
    toldRpm: RPM * TOLD[told],
    ...(pacing.window && { window: model.window }),
    limiter: { discover: told === 'low' || told === 'high', ...model.options?.(TOLD[told]) },
  }
  const make = await loadClient(clientName)
  let phase = 0
  const ran = await run({
    seed,
    minutes,
    jitterMs,
    workload,
    headers,
    ...(describe && { describe }),
    provider: (phaseMs) => model.make((phase = phaseMs)),
    client: (world) => make(world, setup),
  })
  const figures = summary(ran, workload === 'backlog')
  if (workload !== 'backlog') return figures
  return pool([figures, { counts: bests(model, phase, seed, minutes * MINUTE), samples: {} }])
}

const optima = new Map<string, number>()

/** The maximum for each limit that the client may be configured with. */
function bests(model: Model, phase: number, seed: number, endMs: number): Record<string, number> {
  const key = `${model.title} ${endMs} ${seed}`
  if (!optima.has(key)) {
    const service = streamOf(seed, SERVICE_STREAM)
    const time = model.kind === 'concurrency' ? () => serviceMs(service) : () => 0
    optima.set(key, optimum(model.make(phase), endMs, time))
  }
  const best = { optimum: optima.get(key)! }
  if (model.kind === 'concurrency' || model.kind === 'acceleration') return best
  return {
    ...best,
    allowedAfter2: allowed(model, 2 * MINUTE, endMs),
    allowedAfter3: allowed(model, 3 * MINUTE, endMs),
  }
}
