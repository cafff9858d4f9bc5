/**
 * Compares llmiter with its alternatives on a part of the cross product. Under faked timers they take ten to a
 * hundred times as long as a limiter with its own clock. So all clients, including llmiter, get the same short run
 * with the same few seeds. The results of llmiter alone are measured elsewhere, on the whole cross product.
 *
 * Each is configured as a careful user who knows the limit would. A client without its own pace (the SDK, AWS's
 * rules) has nothing to configure.
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

/** The models on which the alternatives differ. The other models would repeat the results. */
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
