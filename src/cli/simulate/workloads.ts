// The arrival times and sizes of calls: generated in advance from the seed, and the same for every client and
// tier, so that the rows of a table differ in nothing else.
//
// Tokens and durations are lognormal: as with real calls, most are below the mean and a few far above it.

import { lognormal, seededRandom } from 'llmiter/testing'
import { poisson } from '../../testing/world/poisson.ts'
import { UsageError } from '../usage.ts'
import { count, duration, percent, positive, whole, wrong } from './values.ts'

/** A future call. Times are in ms from the start. */
export interface Job {
  readonly at: number
  readonly serviceMs: number
  readonly inputTokens: number
  readonly outputTokens: number
}

/** The means of calls, and their spread: they vary by about a factor of e^spread. */
export interface Sizes {
  promptTokens: number
  outputTokens: number
  /** The maximum that a call requests, `max_tokens`. No answer is longer. */
  maxTokens?: number
  latencyMs: number
  spread: number
}

export type Workload =
  | { kind: 'backlog'; calls: number }
  | { kind: 'poisson'; share?: number; perMinute?: number; ms: number }
  | { kind: 'trains'; size: number; everyMs: number; ms: number }

const FORMS = {
  backlog: 'backlog:3000 (number of calls at once)',
  poisson: 'poisson:80% or poisson:8/s:10m (random arrivals: share of the limit or rate, and duration)',
  trains: 'trains:5/10s:10m (calls at once, interval, duration)',
}
export const WORKLOADS = Object.values(FORMS)

const FLAG = '--workload'
const LONG_MS = 600_000
/** More would not fit into memory, and is probably a mistake. */
const MOST_CALLS = 1_000_000

export function readWorkload(text: string): Workload {
  const [kind = '', ...parts] = text.split(':')
  if (!Object.hasOwn(FORMS, kind)) throw wrong(FLAG, text, `one of ${WORKLOADS.join(', ')}`)
  const [first, long, ...more] = parts
  const form = FORMS[kind as Workload['kind']]
  if (!first || more.length > 0 || long === '' || (kind === 'backlog' && long !== undefined))
    throw wrong(FLAG, text, form)
  const ms = long === undefined ? LONG_MS : duration(FLAG, long, 1)
  const [amount = '', per, ...rest] = first.split('/')
  if (kind === 'backlog') return { kind, calls: whole(FLAG, first, 1, MOST_CALLS) }
  if (kind === 'poisson' && first.endsWith('%')) return { kind, share: percent(FLAG, first), ms }
  if (!per || rest.length > 0) throw wrong(FLAG, text, form)
  const everyMs = duration(FLAG, /^\d/.test(per) ? per : `1${per}`, 1)
  if (kind === 'trains') return { kind, size: whole(FLAG, amount, 1, MOST_CALLS), everyMs, ms }
  return { kind: 'poisson', perMinute: (positive(FLAG, amount) * 60_000) / everyMs, ms }
}

/** The arrival times of calls. `perMinute` is the limit, for workloads given as a share of it. */
export function arrivals(workload: Workload, perMinute: number, seed: number): number[] {
  if (workload.kind === 'backlog') return Array<number>(workload.calls).fill(0)
  if (workload.kind === 'trains') {
    const times: number[] = []
    enough((workload.size * workload.ms) / workload.everyMs)
    for (let at = 0; at < workload.ms; at += workload.everyMs)
      for (let i = 0; i < workload.size; i++) times.push(at)
    return times
  }
  const rate = (workload.perMinute ?? workload.share! * perMinute) / 60_000
  enough(rate * workload.ms)
  return [...poisson(rate, workload.ms, seededRandom(seed))]
}

function enough(calls: number): void {
  if (calls > MOST_CALLS)
    throw new UsageError(
      `${FLAG}: that would be ${count(calls)} calls; at most ${count(MOST_CALLS)} can be simulated`,
    )
}

/** The tokens of a recorded call. */
export interface JobTokens {
  readonly input: number
  readonly output: number
}

/** Creates a call for each arrival time. `tokens` is given if a recorded run contains them. */
export function jobsAt(
  times: readonly number[],
  sizes: Sizes,
  seed: number,
  tokens?: readonly JobTokens[],
): Job[] {
  const { promptTokens, outputTokens, maxTokens = Infinity, latencyMs, spread } = sizes
  const [input, output, service] = [promptTokens, outputTokens, latencyMs].map((mean, stream) =>
    around(mean, spread, seed + stream),
  ) as [() => number, () => number, () => number]
  return times.map((at, i) => ({
    at,
    serviceMs: service(),
    inputTokens: tokens ? tokens[i]!.input : Math.round(input()),
    outputTokens: tokens ? tokens[i]!.output : Math.min(maxTokens, Math.round(output())),
  }))
}

/** Lognormal numbers with this mean, which is e^(σ²/2) times their median. */
function around(mean: number, sigma: number, seed: number): () => number {
  if (mean === 0 || sigma === 0) return () => mean
  return lognormal({ median: mean / Math.exp(sigma ** 2 / 2), sigma, seed })
}
