/**
 * llmiter beside its peers, on a slice of the cross: peers under faked timers cost ten to a hundred times what
 * a limiter with a clock of its own costs, and who hammers is soon understood. So all clients, llmiter too, get the
 * same short run with the same few seeds, and what is told of llmiter alone is told elsewhere, on the whole cross.
 *
 * Each is set up as a careful user would who knows the limit. A client that keeps to no pace of its own (the SDK,
 * AWS's law) has nothing to be told.
 */
import type { Case, ClientName } from '../case.ts'
import { models } from '../models.ts'
import { pace, type Pacing } from '../pacing.ts'

export const CLIENTS: ClientName[] = [
  'llmiter',
  'sdk-2',
  'sdk-20',
  'p-queue',
  'p-throttle',
  'bottleneck',
  'aws',
]
export const SEEDS = { full: 2, quick: 1 }
const MINUTES = 4
/** The limit halves after five minutes. */
const STEP_MINUTES = 8

/** The models on which peers differ; the others say the same again. */
const BACKLOGS = [
  'bucket-1s-none',
  'bucket-1s-seconds',
  'bucket-1s-failures',
  'window-60s',
  'quantum-10s',
  'quantum-1s',
  'sliding-60s',
  'step-bucket',
  'acceleration',
  'concurrency',
]
const QUICK = ['bucket-1s-none', 'window-60s', 'quantum-1s']

export function peerCases(): Case[] {
  const backlogs = BACKLOGS.map((model) => peerCase(model, 'backlog', QUICK.includes(model)))
  const trains = ['bucket-60s', 'window-60s'].map((model) => peerCase(model, 'trains', false))
  return [...backlogs, ...trains]
}

function peerCase(model: string, workload: Pacing['workload'], quick: boolean): Case {
  const { title, kind, window } = models[model]!
  const minutes = kind === 'step' ? STEP_MINUTES : MINUTES
  const pacing: Pacing = {
    model,
    told: 'right',
    workload,
    jitterMs: 50,
    headers: false,
    window: window !== undefined,
  }
  return {
    id: `peers/${model}/${workload}`,
    section: 'peers',
    title: workload === 'backlog' ? title : `${title}, ${workload}`,
    clients: CLIENTS,
    quick,
    seeds: SEEDS,
    run: (client, seed) => pace(pacing, minutes, client, seed),
  }
}
