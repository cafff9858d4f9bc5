/** Measures the law as it is, and with each of some rules switched off: a slice of the cases of llmiter alone. */
import { isMet, type Goal } from '../../table.ts'
import { cases } from '../cases.ts'
import { cellsOf, jobsOf, SEEDS, type TimedCell } from '../cells.ts'
import { pacings } from '../pacing.ts'
import { targets } from '../targets.ts'
import { judge } from '../verdicts.ts'
import type { Job } from '../workers.ts'
import { compare, type AblationReport, type AblationRow } from './compare.ts'
import { ONLY_FOR, type Ablation } from './list.ts'
import { stale } from './patch.ts'

/** Where each rule can show. All rules on the whole cross would take hours. */
const MODELS = [
  'bucket-1s-none',
  'bucket-60s',
  'window-60s',
  'quantum-10s',
  'quantum-1s',
  'sliding-60s',
  'step-bucket',
  'acceleration',
]
const ROWS =
  /^(outage|real-time)\/|^(slow|light\/(regular|random))\/\w+\/(10|60)(\/5)?$|^(fairness|quota|eager\/3|tokens\/buckets\/backlog)$/

const judged = cases.filter((one) => {
  const pacing = pacings.get(one)
  if (!pacing) return one.quick && ROWS.test(one.id)
  const { model, told, workload, jitterMs, headers } = pacing
  const asked = told === 'right' || told === 'double' || told === 'high'
  return MODELS.includes(model) && asked && workload === 'backlog' && jitterMs === 50 && !headers
})

/** Other seeds than those of the run: what differs by chance alone. */
const OTHER_SEEDS = 100

export async function runAblations(rules: readonly Ablation[]): Promise<[AblationReport, TimedCell[]]> {
  const fresh = rules.filter((rule) => stale(rule) === undefined)
  const cells = await cellsOf([undefined, ...fresh.map(({ name }) => name)].flatMap(jobsWithout))
  const others = await cellsOf(
    jobsWithout(undefined).map((job) => ({ ...job, seed: job.seed + OTHER_SEEDS })),
  )
  const full = goalsOf(cells.filter(({ ablation }) => ablation === undefined))
  const row = (name: string, without: string, goals: Goal[]): AblationRow => {
    // Goals that were not measured without the rule count as they are with it.
    const met = full.filter((goal) => isMet(goals.find(({ what }) => what === goal.what) ?? goal)).length
    return { name, without, changes: compare(full, goals), met }
  }
  const rows = rules.map((rule): AblationRow => {
    const { name, without } = rule
    const why = stale(rule)
    if (why !== undefined) return { name, without, changes: [], met: 0, stale: why }
    const goals = goalsOf(cells.filter(({ ablation }) => ablation === name))
    return row(name, without, goals)
  })
  const chance = row('(chance)', 'nothing switched off, other seeds', goalsOf(others))
  const report = {
    seeds: SEEDS.quick,
    met: full.filter(isMet).length,
    of: full.length,
    rows: [chance, ...rows],
  }
  return [report, [...cells, ...others]]
}

const goalsOf = (cells: readonly TimedCell[]) => targets.flatMap((target) => judge(target, cells) ?? [])

function jobsWithout(ablation: string | undefined): Job[] {
  return judged
    .filter(({ section }) => ablation === undefined || (ONLY_FOR[section] ?? ablation) === ablation)
    .flatMap((one) => jobsOf(one, 'llmiter', 'quick'))
    .map((job) => ({ ...job, ablation }))
}
