/**
 * The laboratory of the law: llmiter alone, on all foreign laws and a slice of the cross, with many seeds and few
 * words. A baseline that was kept is shown beside each figure.
 *
 *   node bench/lab.ts [--only REGEX] [--seeds 10] [--from 1] [--keep FILE] [--against FILE]
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { percentile, type Case, type Figures } from './providers/case.ts'
import { cases } from './providers/cases.ts'
import { pacings } from './providers/pacing.ts'
import { late, refusals, steady } from './providers/columns.ts'
import { pool } from './providers/case.ts'
import { recovery, probeShare } from './providers/rows/outage.ts'
import { runJobs } from './providers/workers.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '.' },
    seeds: { type: 'string', default: '10' },
    from: { type: 'string', default: '1' },
    keep: { type: 'string' },
    against: { type: 'string' },
  },
})
const only = new RegExp(values.only)

function judged(one: Case): boolean {
  if (one.section === 'foreign') return true
  if (/^outage\//.test(one.id)) return true
  if (/^slow\//.test(one.id)) return /\/(10|60)$/.test(one.id)
  const pacing = pacings.get(one)
  return (
    pacing !== undefined &&
    one.clients.includes('llmiter') &&
    pacing.workload === 'backlog' &&
    pacing.jitterMs === 50 &&
    !one.model!.startsWith('concurrency') &&
    pacing.told !== 'half'
  )
}

interface Row {
  median: number
  p95: number
  worst: number
  refused: number
  recovered?: number
  n: number
}
const chosen = cases.filter((one) => judged(one) && only.test(one.id))
const n = Number(values.seeds)
const from = Number(values.from)
const jobs = chosen.flatMap((one) => {
  const seeds = n
  return Array.from({ length: seeds }, (_, i) => ({ case: one, client: 'llmiter' as const, seed: from + i }))
})
const found = new Map<string, Figures[]>()
let ms = 0
const startedAt = performance.now()
await runJobs(jobs, (job, figures, tookMs) => {
  ms += tookMs
  found.set(job.case.id, [...(found.get(job.case.id) ?? []), figures])
})
const before: Record<string, Row> = values.against ? JSON.parse(readFileSync(values.against, 'utf8')) : {}
const rows: Record<string, Row> = {}
const show = (x: number | null | undefined, digits = 3) =>
  (x === undefined || x === null ? '' : x.toFixed(digits)).padStart(8)
console.log('case'.padEnd(48), '  median     p95   worst  ref/1k   |  before: median p95 worst refusals')
let objective = 0,
  old = 0
for (const one of chosen) {
  const all = found.get(one.id)!
  const unknown = /high|low/.test(one.id)
  const times = all.map((f) => {
    const t = f.samples['timesBest']?.[0]
    if (t !== undefined) return t
    const p =
      one.model === 'acceleration'
        ? f.counts['optimum']! / f.counts['admitted']!
        : 100 / ((unknown ? late(f) : steady(f)) ?? NaN)
    return p
  })
  const pooled = pool(all)
  const rec = /^outage\//.test(one.id) ? recovery(0.5)(pooled) : undefined
  const row: Row = {
    median: percentile(times, 0.5)!,
    p95: percentile(times, 0.95)!,
    worst: Math.max(...times),
    refused: refusals(pooled) ?? 0,
    n: times.length,
    ...(rec !== undefined && { recovered: rec }),
  }
  rows[one.id] = row
  const b = before[one.id]
  if (b) {
    if (row.median > 0) {
      objective += Math.log(row.median) + 0.5 * Math.log(row.p95 / row.median)
      old += Math.log(b.median) + 0.5 * Math.log(b.p95 / b.median)
    }
    objective += Math.log(1 + row.refused / 4) / 4
    old += Math.log(1 + b.refused / 4) / 4
  }
  const mark = b
    ? row.median > b.median * 1.02 || row.p95 > b.p95 * 1.06 || row.refused > b.refused * 1.25 + 0.4
      ? ' WORSE'
      : row.median < b.median / 1.02 || row.p95 < b.p95 / 1.06 || row.refused * 1.25 + 0.4 < b.refused
        ? ' better'
        : ''
    : ''
  console.log(
    one.id.padEnd(48),
    show(row.median),
    show(row.p95),
    show(row.worst),
    show(row.refused, 2),
    rec === undefined ? '' : ` rec ${rec.toFixed(2)} probes ${probeShare(pooled)?.toFixed(2)}`,
    b
      ? ` | ${show(b.median)} ${show(b.p95)} ${show(b.worst)} ${show(b.refused, 2)} ${b.recovered?.toFixed(2) ?? ''}${mark}`
      : '',
  )
}
console.log(
  `objective ${objective.toFixed(3)} before ${old.toFixed(3)}; ${jobs.length} runs, ${Math.round((performance.now() - startedAt) / 1000)} s, cpu ${Math.round(ms / 1000)}`,
)
if (values.keep) writeFileSync(values.keep, JSON.stringify(rows))
