// The report of a simulation: a table that compares clients and tiers, notes, and a summary in one sentence.

import type { BoundBy } from 'llmiter'
import { summaryText } from '../../batch/summary.ts'
import { span } from '../../lib/duration.ts'
import { percentile } from '../../lib/percentile.ts'
import { callsPerMinute, type JobPlan } from './plan.ts'
import { FLAG_OF, isPool, type PlannedLimits, type UsageTier } from './providers.ts'
import type { Ran } from './run.ts'
import { count } from './values.ts'

/** The runs of one tier, including the optimum. */
export interface Compared {
  tier: PlannedLimits
  best: Ran
  runs: readonly Ran[]
}

export interface Row {
  client: string
  limits: PlannedLimits
  calls: number
  done: number
  lost: number
  timeMs: number
  /** The share of calls that got through, multiplied by the speed relative to the best. */
  goodputPercent: number
  refused: number
  refusedPer1000: number | null
  waitMs: { p50: number; p95: number; p99: number }
  firstLoss?: string
  fleet?: FleetRow
  /** What the calls waited for, as shares of the time. */
  boundBy?: BoundBy[]
}

/** How evenly the processes were served. */
interface FleetRow {
  processes: number
  /** All processes together. */
  questionsPerSecond?: number
  /** Of the first half of the calls: how many the least served process got through, and the most served one. */
  served: { least: number; most: number }
}

export interface Report {
  provider: string
  work: string
  seed: number
  rows: Row[]
  notes: string[]
  answer: string
}

export function reportOf(plan: JobPlan, provider: string, all: readonly Compared[]): Report {
  const rows = all.flatMap(({ best, runs }) => [...runs, best].map((ran) => rowOf(plan, ran, best)))
  return {
    provider,
    work: plan.work,
    seed: plan.seed,
    rows,
    notes: notesOf(plan, all),
    answer: [...plan.clients, ...(plan.pooled ? (['pool'] as const) : [])]
      .map((client) => answerOf(plan, rows, client))
      .join('\n'),
  }
}

function rowOf(plan: JobPlan, ran: Ran, best: Ran): Row {
  const { client, tier, calls, done, lost, endMs, refused, waitsMs, firstLoss, boundBy } = ran
  const fleet = fleetOf(plan, ran)
  const waited = (share: number) => percentile(waitsMs, share) ?? 0
  return {
    ...{ client, limits: tier, calls, done, lost },
    timeMs: endMs,
    goodputPercent: (100 * done * Math.min(1, best.endMs / (endMs || 1))) / calls,
    refused,
    refusedPer1000: done > 0 ? (1000 * refused) / done : refused > 0 ? null : 0,
    waitMs: { p50: waited(0.5), p95: waited(0.95), p99: waited(0.99) },
    ...(firstLoss !== undefined && { firstLoss }),
    ...(fleet && { fleet }),
    ...(boundBy && { boundBy }),
  }
}

/** A single process is not a fleet. */
function fleetOf({ processes, store }: JobPlan, { fleet, endMs }: Ran): FleetRow | undefined {
  if (!fleet || (processes === 1 && store === 'none')) return undefined
  const { least, most, questions } = fleet
  return {
    processes,
    ...(questions !== undefined && { questionsPerSecond: (1000 * questions) / (endMs || 1) }),
    served: { least, most },
  }
}

function notesOf(plan: JobPlan, all: readonly Compared[]): string[] {
  const { provider, knobs, jobs, sizes } = plan
  const mean = (of: (job: (typeof jobs)[number]) => number) =>
    jobs.reduce((sum, job) => sum + of(job), 0) / jobs.length
  const tokens = { input: mean((job) => job.inputTokens), output: mean((job) => job.outputTokens) }
  const most = sizes.maxTokens === undefined ? {} : { most: sizes.maxTokens }
  const latencyMs = mean((job) => job.serviceMs)
  const come = jobs.length / ((jobs.at(-1)!.at || Infinity) / 60_000)
  const binding = (tier: UsageTier): string[] => {
    const [tightest, next] = callsPerMinute(provider, tier, knobs, { ...tokens, ...most }, latencyMs)
    const notes: string[] = []
    if (next && next.calls < Infinity)
      notes.push(
        `${FLAG_OF[tightest!.limit]} is what binds: about ${count(Math.floor(tightest!.calls))} calls ` +
          `a minute of this size; ${FLAG_OF[next.limit]} would allow ${count(Math.floor(next.calls))}`,
      )
    if (come > 1.05 * tightest!.calls)
      notes.push(
        `${count(Math.round(come))} calls come a minute, and about ` +
          `${count(Math.floor(tightest!.calls))} get in: the line grows for as long as they come`,
      )
    return notes
  }
  return all.flatMap(({ tier, best, runs }) =>
    [
      ...(isPool(tier) ? [] : binding(tier)),
      ...stockNotes(best, runs),
      ...runs.flatMap((ran) => notesOn(plan, ran)),
    ].map((note) => `${shortly(tier)}: ${note}`),
  )
}

function notesOn(plan: JobPlan, ran: Ran): string[] {
  const { client, lost, firstLoss, served } = ran
  const fleet = fleetOf(plan, ran)
  return [
    ...(lost > 0 ? [`${client} lost ${calls(lost)}; the first one said: ${firstLoss}`] : []),
    ...(fleet ? [inFleet(fleet, plan.atOnce)] : []),
    ...(served ? [eachServed(served)] : []),
  ]
}

const AT_ONCE_MS = 1000
/** In percent. */
const SURPRISING = 90

/**
 * If the provider's stored capacity covers a good part of a job, an optimal client sends that part at once, which
 * makes other clients look slow.
 */
function stockNotes(best: Ran, runs: readonly Ran[]): string[] {
  const stock = best.waitsMs.filter((ms) => ms < AT_ONCE_MS).length
  const ours = runs.find(({ client }) => client === 'llmiter')
  const goodput = ours ? (100 * ours.done * Math.min(1, best.endMs / (ours.endMs || 1))) / ours.calls : 100
  if (goodput >= SURPRISING || stock < 0.1 * best.calls) return []
  return [
    `goodput is ${goodput.toFixed(1)} % since the optimum sends ${calls(stock)} at once, all that the provider has in stock: ` +
      `it knows that they will be accepted. llmiter spreads its calls over the minute. The longer the job, the less it ` +
      `matters; --window 1s is a provider without such a stock, and --pacing eager --headers takes what answers prove is left`,
  ]
}

function inFleet({ processes, questionsPerSecond, served }: FleetRow, atOnce: boolean): string {
  const who = `${count(processes)} process${processes === 1 ? '' : 'es'}`
  const how =
    questionsPerSecond === undefined
      ? `${who} without a store, each with its part of the limit`
      : `${who} shared the limit and asked the store ${count(questionsPerSecond)} times a second, ` +
        `${(questionsPerSecond / processes).toFixed(2)} each`
  // Of calls that come one by one each process has its turn.
  if (!atOnce || processes === 1) return how
  return `${how}; half way the least served had got ${calls(served.least)} through, the most served ${count(served.most)}`
}

function answerOf({ clients, atOnce, pooled }: JobPlan, rows: readonly Row[], client: string): string {
  const parts = rows
    .filter((row) => row.client === client)
    .map((row, i, all) => (atOnce ? howLong(row, all[i - 1]) : howTheyWait(row)))
  const sentence = parts.join('; ')
  return clients.length > 1 || pooled
    ? `With ${client}: ${sentence}.`
    : `${sentence[0]!.toUpperCase()}${sentence.slice(1)}.`
}

/** `before` is the previous tier, which the sentence has just mentioned. */
function howLong({ calls: all, done, lost, timeMs, limits }: Row, before: Row | undefined): string {
  const where = inWords(limits, !before)
  if (lost > 0)
    return `${where} ${count(done)} of ${calls(all)} get through in ${span(timeMs)}, and ${count(lost)} are lost`
  if (before && before.lost > 0) return `all take ${span(timeMs)} ${where}`
  return `${before ? '' : `${calls(all)} take `}${span(timeMs)} ${where}`
}

function howTheyWait({ lost, waitMs: { p50, p99 }, limits }: Row): string {
  const but = lost > 0 ? `, and ${calls(lost)} are lost` : ''
  const half = p50 < SHORT_MS ? 'at once' : `within ${span(p50)}`
  const all = p99 < SHORT_MS ? 'at once' : `within ${span(p99)}`
  const leave =
    half === all ? `99 in 100 calls leave ${all}` : `half of the calls leave ${half}, 99 in 100 ${all}`
  return `${inWords(limits)} ${leave}${but}`
}

const SHORT_MS = 5
const calls = (n: number) => `${count(n)} call${n === 1 ? '' : 's'}`

const WORDS = { rpm: 'requests', tpm: 'tokens', itpm: 'input tokens', otpm: 'output tokens' }

/** For example `the targets answered 300, 300 and 600 calls`. */
function eachServed(served: readonly number[]): string {
  const last = count(served.at(-1)!)
  return `the targets answered ${served.slice(0, -1).map(count).join(', ')} and ${last} calls`
}

/**
 * For example `at 500 requests and 200,000 tokens a minute`. For a single limit that was already named: `at
 * 5,000`.
 */
function inWords(limits: PlannedLimits, inFull = true): string {
  if (isPool(limits)) return `through a pool of ${shortly(limits)}`
  const { concurrency, ...perMinute } = limits
  if (concurrency !== undefined) return `with ${count(concurrency)} at once`
  const all = Object.entries(perMinute) as [keyof typeof WORDS, number][]
  if (all.length === 1 && !inFull) return `at ${count(all[0]![1])}`
  const amounts = all.map(([limit, amount]) => `${count(amount)} ${WORDS[limit]}`)
  const last = amounts.pop()!
  return `at ${amounts.length > 0 ? `${amounts.join(', ')} and ` : ''}${last} a minute`
}

/** For example `500 rpm, 200k tpm`. */
export function shortly(limits: PlannedLimits): string {
  if (isPool(limits)) return limits.map(shortly).join(' + ')
  const { concurrency, ...perMinute } = limits
  const amounts = Object.entries(perMinute).map(([limit, n]) => `${scaled(n)} ${limit}`)
  return concurrency === undefined ? amounts.join(', ') : `${count(concurrency)} at once`
}

const scaled = (n: number) =>
  n >= 1e6 && n % 1e5 === 0 ? `${n / 1e6}M` : n >= 1e5 && n % 1000 === 0 ? `${n / 1000}k` : count(n)

/** The outcome of llmiter's calls, and what held them back. */
function summaryOf(row: Row, boundBy: BoundBy[], rows: readonly Row[]): string[] {
  const { calls: total, done, lost, refused, timeMs, limits } = row
  const best = rows.find(({ client, limits: same }) => client === 'optimum' && same === limits)!
  const against = `the best that these limits allow is ${span(best.timeMs)}`
  const facts = { done: done + lost, failed: lost, total, refused, ms: timeMs, boundBy, against }
  return [`llmiter, ${shortly(limits)}`, summaryText({ ...facts, self: 'llmiter' }), '']
}

const HEAD = ['client', 'limit', 'done', 'lost', 'time', 'goodput', 'refused/1000', 'wait p50', 'p95', 'p99']

export function printed({ provider, work, rows, notes, answer }: Report): string {
  const cells = rows.map((row) => [
    row.client,
    shortly(row.limits),
    ...[row.done, row.lost].map(count),
    span(row.timeMs),
    `${row.goodputPercent.toFixed(1)} %`,
    row.refusedPer1000 === null ? '–' : count(row.refusedPer1000),
    ...[row.waitMs.p50, row.waitMs.p95, row.waitMs.p99].map(span),
  ])
  const table = [HEAD, ...cells]
  const widths = HEAD.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')
  return [
    `${work}; ${provider}`,
    '',
    ...table.map(line),
    '',
    ...notes,
    ...(notes.length > 0 ? [''] : []),
    ...rows.flatMap((row) => (row.boundBy ? summaryOf(row, row.boundBy, rows) : [])),
    answer,
  ].join('\n')
}
