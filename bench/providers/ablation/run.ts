/** Measures the law as it is, and with each of some rules switched off, on the cases of the objective. */
import { cases } from '../cases.ts'
import { cellsOf, seeded, type TimedCell } from '../cells.ts'
import { lossByPart, lossOf, partOf } from '../objective.ts'
import type { Job } from '../workers.ts'
import { ONLY_FOR, type Ablation } from './list.ts'
import { stale } from './patch.ts'
import type { AblationReport, AblationRow } from './report.ts'

export const SEEDS = 8

const judged = cases.flatMap((one) =>
  one.clients.filter((client) => partOf({ case: one, client })).map((client) => ({ case: one, client })),
)

/** `isMeant` narrows the cases. */
export async function runAblations(
  rules: readonly Ablation[],
  seeds: number,
  isMeant: (id: string) => boolean,
): Promise<[AblationReport, TimedCell[]]> {
  const jobsWithout = (ablation: string | undefined): Job[] =>
    judged
      .filter(({ case: { id } }) => isMeant(id))
      .filter(
        ({ case: { section } }) => ablation === undefined || (ONLY_FOR[section] ?? ablation) === ablation,
      )
      .flatMap(({ case: one, client }) => seeded(one, client, (one.seedFactor ?? 1) * seeds))
      .map((job) => ({ ...job, ablation }))
  const fresh = rules.filter((rule) => stale(rule) === undefined)
  const cells = await cellsOf([undefined, ...fresh.map(({ name }) => name)].flatMap(jobsWithout))
  const full = cells.filter(({ ablation }) => ablation === undefined)
  const rows = rules.map((rule): AblationRow => {
    const { name, without } = rule
    const why = stale(rule)
    if (why !== undefined) return { name, without, more: { mean: 0, halfWidth: 0 }, parts: [], stale: why }
    const these = cells.filter(({ ablation }) => ablation === name)
    return { name, without, more: lossOf(these, full), parts: lossByPart(these, full) }
  })
  return [{ seeds, loss: lossOf(full), rows }, cells]
}
