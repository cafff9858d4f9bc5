/**
 * The value of the law as a whole in one number: the loss, where less is better. Rules of the law are judged by it
 * (ablation/), because goals may be met or missed by chance, and a rule may gain in one case and lose in another.
 *
 * A loss of 1 is a hundredth of the time, or one refusal per thousand calls. The goals treat the two as about
 * equally bad (98 % at 1.5 refusals per 1,000). Extreme values are capped, so that one run that fails completely
 * does not hide all others.
 */
import type { Cell, ClientName, Figures } from './case.ts'

interface Part {
  name: string
  weight: number
  because: string
  /** The ids of its cases, each with an equal share of the weight. */
  cases: RegExp
  loss(figures: Figures): number
  client?: ClientName
}

/** Four times the possible time. */
const MOST_LATE = 300
/** Every tenth call is refused. */
const MOST_REFUSED = 100
/** The time in which a limit per minute recovers. */
const MOST_SECONDS = 60

const refused = ({ counts }: Figures) =>
  Math.min(MOST_REFUSED, (1000 * counts['refused']!) / (counts['admitted']! || 1)) + overtaken(counts)
/** Calls that went before an older one, per thousand. */
const overtaken = ({ overtakings = 0, admitted }: Figures['counts']) =>
  Math.min(MOST_REFUSED, (1000 * overtakings) / (admitted! || 1))

const batch = (figures: Figures) =>
  Math.min(MOST_LATE, 100 * Math.max(0, figures.samples['timesBest']![0]! - 1)) + refused(figures)
/** A batch, or a backlog that lasts for the whole run. */
const work = (figures: Figures) => {
  if (figures.samples['timesBest']) return batch(figures)
  const { after2, allowedAfter2 } = figures.counts
  return 100 * Math.max(0, 1 - after2! / allowedAfter2!) + refused(figures)
}
const outage = (figures: Figures) => {
  const { probes, missed, through, couldBe } = figures.counts
  if (couldBe !== undefined) return 100 * Math.max(0, 1 - through! / couldBe)
  const recovered = Math.min(MOST_SECONDS, Math.max(0, figures.samples['recoverMs']![0]! / 1000))
  const entered = figures.samples['enteredIn10s']?.[0] ?? 0
  return recovered + entered + (missed ? (100 * probes!) / missed : 0)
}
const waits = (figures: Figures) => {
  const sorted = figures.samples['waitMs']!.toSorted((a, b) => a - b)
  return Math.min(MOST_SECONDS, sorted[Math.floor(0.95 * sorted.length)]! / 1000) + refused(figures)
}

export const objective: readonly Part[] = [
  {
    name: 'right',
    weight: 3,
    because: 'most people configure the limit that their account has',
    cases: /^foreign\/(right-|second-right)/,
    loss: batch,
  },
  {
    name: 'wrong',
    weight: 3,
    because: 'a limit that is told too high is what the law is for',
    cases: /^foreign\/(double-|fivefold-|ten-seconds-|sliding-)|^bucket-1s-none\/double\/backlog\/j50$/,
    loss: work,
  },
  {
    name: 'lasting',
    weight: 3,
    because: 'a job at night lasts for hours, and each higher rate that is tried in vain is refused',
    cases: /^foreign\/lasting-/,
    loss: batch,
  },
  {
    name: 'unknown',
    weight: 2,
    because: 'who does not know the limit says so, or says nothing',
    cases: /^foreign\/(unlimited|discover)/,
    loss: batch,
  },
  {
    name: 'changes',
    weight: 2,
    because: 'limits change, and others use them up',
    cases: /^foreign\/(half-|halves-|neighbour)|^step-(bucket|window)\/right\/backlog\/j50$/,
    loss: work,
  },
  {
    name: 'strict',
    weight: 2,
    because: 'nginx stands before many servers of one’s own',
    cases: /^foreign\/nginx-/,
    loss: batch,
  },
  {
    name: 'noise',
    weight: 2,
    because: 'shared capacity (Vertex, Bedrock) refuses by chance',
    cases: /^foreign\/noise-/,
    loss: batch,
  },
  {
    name: 'waits',
    weight: 2,
    because: 'gateways tell wrong waits, and nobody can change them',
    cases: /^foreign\/wait-/,
    loss: batch,
  },
  {
    name: 'growth',
    weight: 1,
    because: 'only some providers limit it, and only after a quiet time',
    cases: /^foreign\/growth/,
    loss: batch,
  },
  {
    name: 'outages',
    weight: 2,
    because: 'each provider is down now and then',
    cases: /^outage\/(30s|120s|retry-after|slow-down|60rpm|part|hole)$|^foreign\/outage/,
    loss: (figures) => (figures.samples['timesBest'] ? batch(figures) : outage(figures)),
  },
  {
    name: 'slow',
    weight: 1,
    because: 'free tiers have a few calls a minute',
    cases: /^foreign\/slow-(3|10|60)/,
    loss: batch,
  },
  {
    name: 'long',
    weight: 1,
    because:
      'refusals that come late, answers of a minute, and a process that stands still are rare, and real',
    cases: /^foreign\/(slow-refusals|stalls|long-calls)$/,
    loss: batch,
  },
  {
    name: 'light',
    weight: 2,
    because: 'a server with few users must not make them wait',
    cases: /^light\/(regular|random)\/(bucket|window)\/(10|60)\/5$/,
    loss: waits,
  },
  {
    name: 'uneven',
    weight: 2,
    because: 'work comes in trains, and a quiet time must not pass for a low limit',
    cases: /^(bucket-1s-none|window-60s)\/(double|high)\/trains\/j50$/,
    loss: waits,
  },
  {
    name: 'concurrency',
    weight: 1,
    because: 'servers of one’s own limit how many are in flight',
    cases: /^foreign\/concurrency-/,
    loss: batch,
  },
  {
    name: 'tenants',
    weight: 1,
    because: 'who floods the line must delay nobody else',
    cases: /^fairness$/,
    loss: ({ samples }) => Math.min(MOST_LATE, 100 * Math.max(0, Math.max(...samples['fairRatio']!) - 1)),
  },
  {
    name: 'many',
    weight: 1,
    because:
      'several processes share a key, and nobody has told them (those that share a store: bench:fleet)',
    cases: /^foreign\/alone$/,
    client: 'alone-5',
    loss: batch,
  },
]

/** The loss of a law, as the weighted sum of its parts, with half of the 95 % interval. */
export interface Loss {
  mean: number
  halfWidth: number
}

export interface PartLoss extends Loss {
  name: string
}

export const partOf = (cell: Pick<Cell, 'case' | 'client'>): Part | undefined =>
  objective.find(({ cases, client = 'llmiter' }) => cell.client === client && cases.test(cell.case.id))

const WEIGHTS = objective.reduce((sum, { weight }) => sum + weight, 0)

/** The loss of one law, or how much it exceeds the loss of another with the same seeds. */
export function lossOf(cells: readonly Cell[], than: readonly Cell[] = []): Loss {
  let [mean, variance] = [0, 0]
  for (const part of objective) {
    const here = cells.filter((cell) => partOf(cell) === part)
    for (const cell of here) {
      const base = than.find((one) => one.case === cell.case && one.client === cell.client)
      const losses = cell.each.map((one, i) => part.loss(one) - (base ? part.loss(base.each[i]!) : 0))
      const middle = losses.reduce((sum, loss) => sum + loss, 0) / losses.length
      const squares = losses.reduce((sum, loss) => sum + (loss - middle) ** 2, 0)
      const share = part.weight / WEIGHTS / here.length
      mean += share * middle
      variance += (share ** 2 * squares) / Math.max(1, losses.length - 1) / losses.length
    }
  }
  return { mean, halfWidth: 1.96 * Math.sqrt(variance) }
}

/** The contribution of each part, largest first. */
export function lossByPart(cells: readonly Cell[], than: readonly Cell[]): PartLoss[] {
  return objective
    .map(({ name }) => {
      const of = (all: readonly Cell[]) => all.filter((cell) => partOf(cell)?.name === name)
      return { name, ...lossOf(of(cells), of(than)) }
    })
    .toSorted((a, b) => Math.abs(b.mean) - Math.abs(a.mean))
}
