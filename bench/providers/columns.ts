/** The columns of the tables: how each is computed from pooled counts and samples. */
import { addedWait, bestWait, safeWait } from './rows/light.ts'
import { mostEntered, probeShare, recovery, through } from './rows/outage.ts'
import { realPercent } from './rows/real-time.ts'
import { perHour, settledGoodput } from './rows/slow.ts'
import { worst } from './rows/special.ts'
import { largeOverAll, tokenGoodput } from './rows/tokens.ts'
import { percentile, type Column, type Figures, type SectionPlan } from './case.ts'

const ratio = (above: string, below: string, times: number) => (pooled: Figures) => {
  const { [above]: a, [below]: b } = pooled.counts
  return a === undefined || b === undefined ? undefined : (times * a) / (b || 1)
}
const count = (name: string) => (pooled: Figures) => pooled.counts[name]
const part = (name: string, share: number, per: number) => (pooled: Figures) => {
  const value = percentile(pooled.samples[name], share)
  return value === undefined ? undefined : value / per
}

export const goodput = ratio('admitted', 'optimum', 100)
export const steady = ratio('after2', 'allowedAfter2', 100)
export const late = ratio('after3', 'allowedAfter3', 100)
export const refusals = ratio('refused', 'admitted', 1000)
const waitSeconds = (share: number) => part('waitMs', share, 1000)

/** None of this may ever happen: calls lost, starved, or served twice. */
export const harmed = ({ counts }: Figures) =>
  counts['lost'] === undefined ? undefined : counts['lost'] + counts['starved']! + counts['twice']!

const column = {
  goodput: { name: 'goodput %', digits: 2, of: goodput },
  steady: { name: 'steady %', digits: 2, of: steady },
  late: { name: 'after 3 min %', digits: 2, of: late },
  refusals: { name: 'refused /1000', digits: 2, of: refusals },
  lost: { name: 'lost', digits: 0, of: count('lost') },
  starved: { name: 'starved', digits: 0, of: count('starved') },
  twice: { name: 'twice', digits: 0, of: count('twice') },
  overtakings: { name: 'out of order', digits: 0, of: count('overtakings') },
  p50: { name: 'wait p50 s', digits: 2, of: waitSeconds(0.5) },
  p95: { name: 'p95 s', digits: 2, of: waitSeconds(0.95) },
  p99: { name: 'p99 s', digits: 2, of: waitSeconds(0.99) },
} satisfies Record<string, Column>

const { p50, p95, p99, lost, starved, twice, overtakings } = column

export const sections: SectionPlan[] = [
  {
    id: 'peers',
    title: 'Beside the peers: a slice of the cross, the limit told right',
    notes: [
      'a backlog for 4 minutes (8 where the limit changes), two seeds, the same for all clients, llmiter too',
      'goodput: of the most that any client could have got in; steady: of the limit, from minute 2 on',
      'recovered: until 90 % of the limit get in again; out of order: as below',
      'p-queue, p-throttle and Bottleneck have the SDK behind them, with its 2 retries',
      'goodput alone says little: one who hammers has 100 % until failed calls count',
    ],
    columns: [
      column.goodput,
      column.steady,
      column.refusals,
      column.lost,
      ...[column.p50, column.p95, column.p99],
      { name: 'recovered s', digits: 1, of: recovery(0.5) },
      column.overtakings,
    ],
  },
  {
    id: 'backlog',
    title: 'A backlog: 20 minutes, a thousand calls always waiting',
    notes: [
      'goodput: of the most that any client could have got in; steady: of the limit, from minute 2 on',
      'right, double, half: the limit that the client was told; low, high: a fifth, five times, and discover',
      '±: half of the 95 % interval of the seeds’ mean; worst: of the unluckiest seed',
      'out of order: tries that went although a call that had arrived earlier was parked, and its told wait over',
    ],
    columns: [
      column.goodput,
      column.steady,
      { name: '±', digits: 2, of: interval(steady) },
      { name: 'worst %', digits: 2, of: unluckiest(steady) },
      column.late,
      column.refusals,
      ...[lost, starved, twice, overtakings],
      ...[p50, p95, p99],
    ],
  },
  {
    id: 'poisson',
    title: 'A Poisson stream at 80 % of the limit: 10 minutes',
    notes: [],
    columns: [column.refusals, lost, starved, twice, overtakings, p50, p95, p99],
  },
  {
    id: 'trains',
    title: 'Trains of 5 to 45 calls at once, at 60 % of the limit: 10 minutes',
    notes: [],
    columns: [column.refusals, lost, starved, twice, overtakings, p50, p95, p99],
  },
  {
    id: 'fleet',
    title: 'Twenty processes, one limit: a backlog, 20 minutes',
    notes: [
      'shared-20: limiters of one name share the limit through a store (`memoryStore`, as `llmiter/redis` does)',
      'split-20: no store is shared, so each process is told a twentieth of the limit',
    ],
    columns: [column.goodput, column.steady, column.refusals, lost, twice, p50, p95, p99],
  },
  {
    id: 'outage',
    title: 'Outages, from 500 requests a minute',
    notes: [
      'recovered: from when on 90 % of the limit get in again; probes: tries during it, of what the limit allows',
      'through: let in during a partial outage, of what a client without a limiter could get in',
    ],
    columns: [
      { name: 'recovered p50 s', digits: 2, of: recovery(0.5) },
      { name: 'p99 s', digits: 2, of: recovery(0.99) },
      { name: 'probes %', digits: 2, of: probeShare },
      { name: 'through %', digits: 1, of: through },
      { name: 'in the hole, most in 10 s', digits: 0, of: mostEntered },
      column.refusals,
      ...[lost, twice, overtakings],
    ],
  },
  {
    id: 'foreign',
    title: 'Laws that are not ours: time for a batch ÷ the optimum',
    notes: [
      'from, to: the 95 % interval of the median; the worst is of all seeds',
      'p-queue has the SDK behind it, with its 2 retries; sdk-20 is the SDK alone with 20; who loses calls is done early',
    ],
    columns: [
      { name: 'seeds', digits: 0, of: count('runs') },
      { name: 'median ×', digits: 3, of: part('timesBest', 0.5, 1) },
      { name: 'from', digits: 3, of: medianBound('timesBest', -1) },
      { name: 'to', digits: 3, of: medianBound('timesBest', 1) },
      { name: 'p95 ×', digits: 3, of: part('timesBest', 0.95, 1) },
      { name: 'worst ×', digits: 3, of: worst('timesBest') },
      column.refusals,
      ...[lost, twice, overtakings],
    ],
  },
  {
    id: 'slow',
    title: 'Slow limits, told twice too high: two hours',
    notes: ['steady: of the limit, from the 10th minute on'],
    columns: [
      { name: 'steady %', digits: 2, of: settledGoodput },
      { name: 'refusals an hour', digits: 1, of: perHour },
      column.refusals,
      ...[lost, twice, overtakings],
    ],
  },
  {
    id: 'light',
    title: 'Light load: trains at 60 % of a minute’s limit',
    notes: [
      'added wait: from arrival to the try that got in; best: of a client that knows the provider',
      'safe: of one that keeps the limit in any minute, and does not space calls',
    ],
    columns: [
      { name: 'added wait p95 s', digits: 3, of: addedWait },
      { name: 'best p95 s', digits: 3, of: bestWait },
      { name: 'safe p95 s', digits: 3, of: safeWait },
      column.refusals,
      ...[lost, starved, twice, overtakings],
    ],
  },
  {
    id: 'tokens',
    title: 'Tokens: lognormal, guessed wrong by up to 60 %',
    notes: [
      'excess: above the limit in any 60 s, beyond what the guesses were too low; below 0 is within the limit',
      'large: p95 wait of the largest twentieth ÷ that of all',
    ],
    columns: [
      { name: 'goodput %', digits: 2, of: tokenGoodput },
      { name: 'excess %', digits: 2, of: worst('excessPercent') },
      { name: 'large ÷ all', digits: 2, of: largeOverAll },
      column.refusals,
      ...[lost, starved, twice, overtakings, p50, p95, p99],
    ],
  },
  {
    id: 'fairness',
    title: 'Fairness: ten tenants, one of them floods',
    notes: ['worst: p95 wait of a tenant ÷ what it would be alone with a tenth of the limit'],
    columns: [{ name: 'worst', digits: 2, of: worst('fairRatio') }, p50, p95, p99],
  },
  {
    id: 'special',
    title: 'A quota beside a rate; eager with headers',
    notes: ['of the best: the time for the backlog ÷ (N − C)/r'],
    columns: [
      { name: 'minutes', digits: 2, of: worst('minutes') },
      { name: 'of the best', digits: 3, of: worst('timesBest') },
      column.refusals,
      ...[lost, starved, twice, overtakings],
    ],
  },
  {
    id: 'real-time',
    title: 'Real time: of the configured rate',
    notes: ['the only rows that depend on the machine'],
    columns: [{ name: '%', digits: 2, of: realPercent }],
  },
]

/** One end of the 95 % interval of a median: a value by its rank, whatever the distribution. */
function medianBound(name: string, sign: 1 | -1) {
  return ({ samples: { [name]: values = [] } }: Figures) => {
    const rank = 0.5 + (sign * 0.98) / Math.sqrt(values.length)
    return values.length < 2 ? undefined : percentile(values, Math.min(1, Math.max(0, rank)))
  }
}

/** The result of the unluckiest seed. */
function unluckiest(of: (one: Figures) => number | undefined) {
  return (_: Figures, each: readonly Figures[]) => {
    const values = each.flatMap((one) => of(one) ?? [])
    return values.length > 0 ? Math.min(...values) : undefined
  }
}

/** Half of the 95 % interval of the mean over the seeds. */
function interval(of: (one: Figures) => number | undefined) {
  return (_: Figures, each: readonly Figures[]) => {
    const values = each.flatMap((one) => of(one) ?? [])
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
    return values.length > 1 ? 1.96 * Math.sqrt(squares / (values.length - 1) / values.length) : undefined
  }
}
