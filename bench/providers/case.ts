/**
 * The data that the parts of this bench exchange. A case is one question (a provider, the configured limit, a
 * workload), asked of a client with a seed. The answer is a set of numbers that can be pooled over seeds.
 *
 * Counts are added and samples are joined, so that a percentage of six seeds is one percentage, and a percentile
 * is one of all waits, not a mean of six percentiles.
 */
import { percentile as ranked } from '../../src/lib/percentile.ts'
import type { Goal } from '../table.ts'

export type ClientName =
  | 'llmiter'
  | 'shared-20'
  | 'split-20'
  | 'alone-5'
  | 'sdk-2'
  | 'sdk-20'
  | 'p-queue'
  | 'p-throttle'
  | 'bottleneck'
  | 'aws'

export interface Figures {
  counts: Record<string, number>
  samples: Record<string, number[]>
}

export interface Case {
  /** The id for `--only`: `bucket-1s-none/double/backlog/j50`. */
  id: string
  section: string
  /** The name in the table, next to the client's. */
  title: string
  /** The key of the provider in models.ts. Undefined if the case has its own. */
  model?: string
  clients: readonly ClientName[]
  /** Whether it also runs with `--quick`. */
  quick: boolean
  /** The number of seeds, if it differs from that of the run. */
  seeds?: { full: number; quick: number }
  /** The same for clients other than llmiter, which take at least ten times as long under faked timers. */
  peerSeeds?: { full: number; quick: number }
  /**
   * The factor by which an ablation has more seeds of it than of others, because chance has a larger effect in it.
   * Default: 1.
   */
  seedFactor?: number
  /** Whether it needs the machine for itself and the real globals. */
  realTime?: boolean
  run(client: ClientName, seed: number): Promise<Figures>
}

/** One case with one client: all seeds pooled, and each separately. */
export interface Cell {
  case: Case
  client: ClientName
  pooled: Figures
  each: readonly Figures[]
}

export interface Column {
  name: string
  digits: number
  of(pooled: Figures, each: readonly Figures[]): number | undefined
}

export interface SectionPlan {
  id: string
  title: string
  notes: string[]
  columns: Column[]
}

/** A goal of the project, judged by the worst of its cells. */
export interface Target {
  what: string
  /** The llmiter cells that it applies to. */
  of(cell: Cell): boolean
  measure(pooled: Figures): number | undefined
  bound: Pick<Goal, 'atLeast' | 'atMost'>
  unit: string
}

/** A goal with the number of cases that it was judged on. */
export interface JudgedGoal extends Goal {
  cases: number
}

export function pool(all: readonly Figures[]): Figures {
  const counts: Record<string, number> = {}
  const samples: Record<string, number[]> = {}
  for (const one of all) {
    for (const [name, count] of Object.entries(one.counts)) counts[name] = (counts[name] ?? 0) + count
    for (const [name, values] of Object.entries(one.samples))
      samples[name] = [...(samples[name] ?? []), ...values]
  }
  return { counts, samples }
}

export function percentile(values: readonly number[] | undefined, share: number): number | undefined {
  return (
    values &&
    ranked(
      values.toSorted((a, b) => a - b),
      share,
    )
  )
}

/** Every k-th of many values: enough for a percentile, and small enough to send to another process. */
export function thin(values: readonly number[], most = 2000): number[] {
  const sorted = values.toSorted((a, b) => a - b)
  if (sorted.length <= most) return sorted
  return Array.from({ length: most }, (_, i) => sorted[Math.floor(((i + 0.5) * sorted.length) / most)]!)
}

/** Groups members by a key. Groups and members keep their order. */
export function grouped<T>(all: readonly T[], keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const one of all) {
    const key = keyOf(one)
    const group = groups.get(key)
    if (group) group.push(one)
    else groups.set(key, [one])
  }
  return groups
}
