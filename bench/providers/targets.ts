/**
 * The goals as data. docs/law.md explains the bounds. Each goal is judged by the worst of its cells and names that
 * cell, so that no weak case is hidden.
 */
import { percentile, type Cell, type Figures, type Target } from './case.ts'
import { goodput, harmed, late, refusals, steady } from './columns.ts'
import { foreign } from './rows/foreign.ts'
import { aboveSafe, addedWait } from './rows/light.ts'
import { mostEntered, probeShare, recovery } from './rows/outage.ts'
import { realPercent } from './rows/real-time.ts'
import { worst } from './rows/special.ts'
import { largeOverAll } from './rows/tokens.ts'
import { models, type Kind } from './models.ts'
import { pacings, type Pacing } from './pacing.ts'

type Which = (pacing: Pacing, kind: Kind) => boolean

function pacingCell(which: Which): (cell: Cell) => boolean {
  return ({ case: { model }, case: it }) => {
    const pacing = pacings.get(it)
    return pacing !== undefined && pacing.workload === 'backlog' && which(pacing, models[model!]!.kind)
  }
}

/** The cases whose id begins with this. */
const row =
  (start: string): Target['of'] =>
  ({ case: { id } }) =>
    id === start || id.startsWith(`${start}/`)

/** Whole outages from 500 a minute. */
const outage =
  (which = /s$|retry-after|slow-down/): Target['of'] =>
  ({ case: { id } }) =>
    id.startsWith('outage/') && which.test(id)

type Measure = (pooled: Figures) => number | undefined

const least = (what: string, of: Target['of'], measure: Measure, atLeast: number): Target => ({
  what,
  of,
  measure,
  bound: { atLeast },
  unit: '%',
})

const most = (what: string, of: Target['of'], measure: Measure, atMost: number, unit: string): Target => ({
  what,
  of,
  measure,
  bound: { atMost },
  unit,
})

/** A goal for the goodput and one for the refusals, which belong together. */
const both = (what: string, which: Which, good: Measure, atLeast: number, atMost: number): Target[] => [
  least(`${what}: goodput`, pacingCell(which), good, atLeast),
  most(`${what}: refusals`, pacingCell(which), refusals, atMost, 'per 1,000'),
]

const plain = ({ jitterMs, headers }: Pacing) => jitterMs <= 50 && !headers
const unknown = ({ told }: Pacing) => told === 'low' || told === 'high'
const ordinary = (kind: Kind) => kind === 'minute' || kind === 'second' || kind === 'failures'
/** A client that does not know the window of a second cannot use more than W / (W + J) of it without refusals. */
const seconds = ({ model }: Pacing) => model === 'quantum-1s'

export const targets: Target[] = [
  ...both(
    'right, bucket or window of a minute, J ≤ 50 ms',
    (p, kind) => kind === 'minute' && p.told === 'right' && plain(p),
    steady,
    99.5,
    0.1,
  ),
  ...both(
    'right, bucket of 1 s',
    (p, kind) => kind === 'second' && p.model.startsWith('bucket') && p.told === 'right' && plain(p),
    steady,
    99.5,
    0.1,
  ),
  ...both(
    'right, window of 10 s (configured)',
    (p) => p.model === 'quantum-10s' && p.told === 'right' && p.window && plain(p),
    steady,
    99.4,
    0.1,
  ),
  ...both(
    'right, quantum of 1 s (configured)',
    (p) => p.model === 'quantum-1s' && p.told === 'right' && p.window && plain(p),
    steady,
    95,
    0,
  ),
  ...learnedQuantum(),
  ...both(
    'told twice the limit',
    (p, kind) => ordinary(kind) && !seconds(p) && p.told === 'double' && plain(p),
    steady,
    98,
    1.5,
  ),
  ...both(
    'told twice the limit, windows of a second',
    (p) => seconds(p) && p.told === 'double' && plain(p),
    steady,
    95,
    1.5,
  ),
  ...both(
    'told twice, headers tell',
    (p, kind) => ordinary(kind) && !seconds(p) && p.told === 'double' && p.jitterMs <= 50 && p.headers,
    steady,
    98,
    1.5,
  ),
  ...both(
    'told twice, headers tell, windows of a second',
    (p) => seconds(p) && p.told === 'double' && p.jitterMs <= 50 && p.headers,
    steady,
    95,
    1.5,
  ),
  ...both(
    'limit unknown, after 3 minutes',
    (p, kind) => ordinary(kind) && !seconds(p) && unknown(p) && plain(p),
    late,
    95,
    2.5,
  ),
  ...both(
    'limit unknown, after 3 minutes, windows of a second',
    (p) => seconds(p) && unknown(p) && plain(p),
    late,
    95,
    1.5,
  ),
  ...both(
    'limit unknown, headers tell',
    (p, kind) => ordinary(kind) && unknown(p) && p.jitterMs <= 50 && p.headers,
    late,
    95,
    2,
  ),
  ...both(
    'failures count, right',
    (p, kind) => kind === 'failures' && p.told === 'right' && plain(p),
    steady,
    98,
    0.5,
  ),
  ...both(
    'step change on a bucket, nobody tells',
    (p, kind) => kind === 'step' && p.model === 'step-bucket' && plain(p),
    steady,
    96.5,
    1.5,
  ),
  ...both(
    'step change on a window of a minute, nobody tells',
    (p, kind) => kind === 'step' && p.model === 'step-window' && plain(p),
    steady,
    92,
    2,
  ),
  ...both('step change, headers tell', (p, kind) => kind === 'step' && p.headers, steady, 97, 1),
  ...both(
    'acceleration',
    (p, kind) => kind === 'acceleration' && p.told === 'right' && plain(p),
    goodput,
    86,
    1.5,
  ),
  most('outage, from 500 a minute: recovered, median', outage(), recovery(0.5), 3, 's'),
  most('outage, from 500 a minute: recovered, 99th percentile', outage(), recovery(0.99), 6, 's'),
  most('outage of 2 min or more: probes', outage(/120s|300s|900s/), probeShare, 2.8, '% of traffic'),
  most('outage, 60 a minute: recovered', row('outage/60rpm'), recovery(1), 30, 's'),
  most('black hole: calls that enter it in any 10 s', row('outage/hole'), mostEntered, 4, 'calls'),
  most('light load, regular trains: added wait p95', row('light/regular'), addedWait, 0.1, 's'),
  most('light load, random trains: added wait p95 above `safe`', row('light/random'), aboveSafe, 0.1, 's'),
  most('light load: refusals', row('light'), refusals, 1, 'per 1,000'),
  most('a quota beside a rate: 200 calls done', row('quota'), worst('minutes'), 20, 'min'),
  most('eager with headers: backlog done', row('eager'), worst('timesBest'), 1.05, '× (N − C)/r'),
  most('tokens: above the limit beyond the guesses', row('tokens'), worst('excessPercent'), 0, '%'),
  most('tokens: oversized rejected', row('tokens'), worst('oversizedMs'), 50, 'ms'),
  most('tokens: p95 wait of large calls ÷ all', row('tokens'), largeOverAll, 2, '×'),
  most('fairness: p95 wait of a tenant ÷ alone', row('fairness'), worst('fairRatio'), 2, '×'),
  ...foreignTargets(),
  least('real time, 100 and 500 a second', row('real-time'), realPercent, 99),
  most(
    'parked calls go in the order of first arrival',
    ({ pooled }) => pooled.counts['overtakings'] !== undefined,
    ({ counts }) => counts['overtakings'],
    0,
    'overtaken',
  ),
  most('every case: lost, starved, twice', ({ pooled }) => harmed(pooled) !== undefined, harmed, 0, 'calls'),
]

/**
 * After learning: the refusals end after three minutes, and from then on it must be as good as a configured limit.
 */
function learnedQuantum(): Target[] {
  const cell = pacingCell((p) => p.model === 'quantum-1s' && p.told === 'right' && !p.window && plain(p))
  return [
    least('right, quantum of 1 s (learned), after 3 minutes: goodput', cell, late, 95),
    most(
      'right, quantum of 1 s (learned), after 3 minutes: refusals',
      cell,
      ({ counts }) => (1000 * counts['refusedAfter3']!) / counts['after3']!,
      0,
      'per 1,000',
    ),
  ]
}

/** The bounds of each foreign rule, and one for all their tails. */
function foreignTargets(): Target[] {
  const bounds = Object.entries(foreign).flatMap(([name, { title, goal }]) =>
    goal === undefined
      ? []
      : [
          most(
            `${title}: median`,
            row(`foreign/${name}`),
            (p) => percentile(p.samples['timesBest'], 0.5),
            goal,
            '× the optimum',
          ),
        ],
  )
  const tail = ({ samples: { timesBest } }: Figures) =>
    timesBest && percentile(timesBest, 0.99)! / percentile(timesBest, 0.5)!
  const unlimited = (it: Cell) => it.case.id.startsWith('foreign/unlimited')
  return [
    ...bounds,
    most('laws that are not ours: 99th percentile ÷ median', row('foreign'), tail, 1.3, '×'),
    most('nothing known: refusals', unlimited, refusals, (1000 * 20) / 300, 'per 1,000'),
  ]
}
