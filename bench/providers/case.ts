/**
 * What the parts of this bench pass to each other: a case is one question (a provider, what the client was told,
 * a workload), asked of a client with a seed; the answer is a set of numbers that can be pooled over seeds.
 *
 * Counts add up and samples are joined, so that a percentage of six seeds is one percentage, and a percentile is
 * one of all waits, not a mean of six percentiles.
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
  /** As `--only` takes it: `bucket-1s-none/double/backlog/j50`. */
  id: string
  section: string
  /** The name in the table, beside the client's. */
  title: string
  /** The key of the provider in models.ts; undefined where the case has one of its own. */
  model?: string
  clients: readonly ClientName[]
  /** In `--quick` too. */
  quick: boolean
  /** How many seeds, where it is not the number of the run. */
  seeds?: { full: number; quick: number }
  /** The same for clients that are not llmiter's: under faked timers they cost ten times as much and more. */
  peerSeeds?: { full: number; quick: number }
  /** Needs the machine for itself and the real globals. */
  realTime?: boolean
  run(client: ClientName, seed: number): Promise<Figures>
}

/** One case with one client, all seeds pooled, and each by itself. */
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

/** A goal of the project: judged on the worst of the cells that it speaks of. */
export interface Target {
  what: string
  /** Which cells of llmiter it speaks of. */
  of(cell: Cell): boolean
  measure(pooled: Figures): number | undefined
  bound: Pick<Goal, 'atLeast' | 'atMost'>
  unit: string
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

/** Every k-th of many values: enough for a percentile, and little to send to another process. */
export function thin(values: readonly number[], most = 2000): number[] {
  const sorted = values.toSorted((a, b) => a - b)
  if (sorted.length <= most) return sorted
  return Array.from({ length: most }, (_, i) => sorted[Math.floor(((i + 0.5) * sorted.length) / most)]!)
}

/** Members by what they have in common, both in the order in which they come. */
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
