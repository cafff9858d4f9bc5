/**
 * Twenty processes with one limit: shared through a store, and without one. Without, each can only be configured
 * with a twentieth. That is right in total while all have work, and too little for the busy ones if others are
 * idle.
 */
import type { Case } from '../case.ts'
import { models } from '../models.ts'
import { pace, type Pacing } from '../pacing.ts'

const PROCESSES = 20
const MINUTES = 20

export function fleetCases(): Case[] {
  const all = ['bucket-60s', 'window-60s', 'quantum-10s', 'quantum-1s'].map((model) =>
    fleetCase(model, PROCESSES),
  )
  return [...all, fleetCase('bucket-60s', PROCESSES / 2)]
}

/** `busy` of the processes have a backlog, the others have no calls. */
function fleetCase(model: string, busy: number): Case {
  const { title, window } = models[model]!
  const pacing: Pacing = {
    model,
    told: 'right',
    workload: 'backlog',
    jitterMs: 50,
    headers: false,
    window: window !== undefined,
  }
  return {
    id: `fleet/${model}/${busy}`,
    section: 'fleet',
    title: `${title}, ${busy} of ${PROCESSES} busy`,
    clients: [`shared-${PROCESSES}`, `split-${PROCESSES}`],
    quick: true,
    run: (client, seed) => pace(pacing, MINUTES, client, seed, (index) => ({ process: index % busy })),
  }
}
