// `llmiter usage`: reports usage by model, tenant, key or day, from the logs of limiters or the ledger of a
// gateway.
//
// Only one of the two is read. Otherwise a gateway that also writes logs would be counted twice.

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { CallLedger, type LedgerLine } from '../gateway/ledger.ts'
import type { LogRecord } from '../telemetry/log-record.ts'
import {
  type ModelPrice,
  parsePrices,
  PRICES_PACKAGE,
  type Pricing,
  pricesOfPackage,
} from '../pool/prices.ts'
import { badLines, noLogs, readLogs, runsIn } from './logs.ts'
import { type Moment, moment } from './time-argument.ts'
import { CannotError, command, printable, readOptions, UsageError } from './usage.ts'

const BY = ['model', 'tenant', 'key', 'day'] as const
type By = (typeof BY)[number]

const HELP = `usage: llmiter usage [options]

Reports requests, refusals, tokens and cost, from the logs of a folder or from the ledger of a gateway.

  --by WHAT        model (a limiter of a log is its model), tenant, key (of a gateway) or day (UTC)
  --dir FOLDER     the folder of the logs (llmiter-logs)
  --ledger FOLDER  the state folder of a gateway instead (default without logs: llmiter-gateway)
  --from, --to T   only this part: 2h after the first record, or a time like 2026-01-31 or 2026-01-31T12:00
  --prices FILE    USD per million tokens, as JSON: {"gpt-5": {"input": 1.25, "cachedInput": 0.125, "output": 10}};
                   names may end in *, and default applies to all others. Without it the package
                   ${PRICES_PACKAGE} is used, if it is installed
  --json, --csv    for programs`

/** A part of the usage, of one kind of calls. */
interface Used {
  readonly at: number
  readonly model?: string | undefined
  readonly tenant?: string | undefined
  readonly key?: string | undefined
  readonly requests: number
  readonly refused: number
  readonly input: number
  readonly cached: number
  readonly output: number
  /** USD, if already known. */
  readonly cost?: number | undefined
}

/** The sums for one model, tenant, key or day. Tokens are those that answers reported. */
export interface UsageRow {
  name: string
  requests: number
  refused: number
  inputTokens: number
  /** The cached part of the input tokens. */
  cachedTokens: number
  outputTokens: number
  /** The cost of the tokens with a known price. Null if there are none. */
  costUsd: number | null
  /** Tokens without a known price. */
  unpricedTokens: number
}

export const usage = (args: string[]): Promise<number> =>
  command('usage', async () => {
    const text = { type: 'string' } as const
    const flag = { type: 'boolean' } as const
    const values = readOptions(
      args,
      {
        ...{ by: text, dir: text, ledger: text, from: text, to: text, prices: text },
        ...{ json: flag, csv: flag, help: flag },
      },
      { '--by': 'group groupby per', '--dir': 'folder directory path logs' },
    )
    if (values.help) {
      console.log(HELP)
      return 0
    }
    const by = byOf(values.by ?? 'model')
    if (values.json && values.csv) throw new UsageError('give --json or --csv, not both')
    if (values.dir !== undefined && values.ledger !== undefined)
      throw new UsageError('give --dir or --ledger, not both: calls in both would count twice')
    const part = { from: momentOf('--from', values.from), to: momentOf('--to', values.to) }
    const sums = new Sums(by, await pricing(values.prices), values.prices !== undefined)
    await read(values, part, (used) => sums.add(used))
    const rows = sums.rows()
    if (values.json)
      console.log(
        JSON.stringify(
          rows.map((row) => named(by, row)),
          null,
          2,
        ),
      )
    else if (values.csv) console.log(csv(by, rows))
    else console.log(printable(table(by, rows, sums.total)))
    return 0
  })

function byOf(said: string): By {
  const by = BY.find((name) => name === said)
  if (by) return by
  throw new UsageError(`--by must be one of ${BY.join(', ')}, got '${said}'`)
}

const momentOf = (flag: string, said: string | undefined) =>
  said === undefined ? undefined : moment(flag, said)

/** `--prices` takes precedence over the package, and over the costs computed by a gateway. */
async function pricing(file: string | undefined): Promise<Pricing> {
  if (file === undefined) return (await pricesOfPackage()) ?? (() => undefined)
  let said: unknown
  try {
    said = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new CannotError(`--prices: ${file} cannot be read: ${(error as Error).message}`)
  }
  try {
    return parsePrices(said as Record<string, ModelPrice>)
  } catch (error) {
    throw new UsageError(`--prices: ${(error as Error).message}`)
  }
}

type Part = { from: Moment | undefined; to: Moment | undefined }

async function read(
  { dir, ledger }: { dir?: string | undefined; ledger?: string | undefined },
  part: Part,
  onUsed: (used: Used) => void,
): Promise<void> {
  const within = inPart(part)
  const logs = dir ?? 'llmiter-logs'
  const files = ledger === undefined ? runsIn(logs).flatMap((run) => run.files) : []
  let found = 0
  const add = (used: Used) => {
    found++
    if (within(used.at)) onUsed(used)
  }
  // Oldest first, because `--from 2h` counts from the first record.
  if (files.length > 0) {
    const bad = await readLogs(files.sort(), { onRecord: (record) => usedIn(record).forEach(add) })
    const told = badLines(bad)
    if (told !== undefined) console.error(printable(`${resolve(logs)}: ${told}`))
  } else if (dir === undefined)
    for (const line of new CallLedger(ledger ?? 'llmiter-gateway').read()) usedBy(line).forEach(add)
  if (found > 0) return
  if (ledger !== undefined) throw new CannotError(`there is no ledger of a gateway in ${resolve(ledger)}`)
  if (files.length === 0) throw new CannotError(noLogs(logs))
  throw new CannotError(`the logs in ${resolve(logs)} contain no finished call`)
}

function inPart({ from, to }: Part): (at: number) => boolean {
  let first: number | undefined
  return (at) => {
    first ??= at
    return at >= (from?.(first) ?? -Infinity) && at < (to?.(first) ?? Infinity)
  }
}

/** The usage in one second of a limiter: by tenant what its answers reported, plus the rest of its calls. */
function usedIn({ t, name, finished, failed, refused, usage = [] }: LogRecord): Used[] {
  const told = usage.reduce((sum, { calls }) => sum + calls, 0)
  const rest = Math.max(0, finished + failed - told)
  const none = { at: t, model: name, requests: rest, refused, input: 0, cached: 0, output: 0 }
  return [
    ...usage.map(({ tenant, calls, input, cached, output }) => ({
      ...{ at: t, model: name, tenant, requests: calls, refused: 0, input, cached, output },
    })),
    ...(rest + refused > 0 ? [none] : []),
  ]
}

/** Statuses that mean "not now". */
const REFUSED = [429, 503, 529]

/** An attempt of a call through a gateway, or a call that the gateway refused. */
function usedBy(line: LedgerLine): Used[] {
  if (line.of === 'refused') {
    const { at, key, tenant, model } = line
    return [{ at, key, tenant, model, requests: 0, refused: 1, input: 0, cached: 0, output: 0 }]
  }
  if (line.of !== 'over') return []
  const { at, key, tenant, model, target, status, cost } = line
  const { inputTokens = 0, cachedTokens = 0, outputTokens = 0 } = line
  const refused = REFUSED.includes(status)
  return [
    {
      ...{ at, model: model ?? target, tenant, key, requests: refused ? 0 : 1, refused: refused ? 1 : 0 },
      ...{ input: inputTokens, cached: cachedTokens, output: outputTokens, cost },
    },
  ]
}

class Sums {
  readonly #by: By
  readonly #pricing: Pricing
  readonly #wins: boolean
  readonly #rows = new Map<string, UsageRow>()
  readonly total = emptyRow('total')

  constructor(by: By, pricing: Pricing, wins: boolean) {
    this.#by = by
    this.#pricing = pricing
    this.#wins = wins
  }

  add(used: Used): void {
    const { at, input, cached, output } = used
    const name = this.#by === 'day' ? new Date(at).toISOString().slice(0, 10) : (used[this.#by] ?? '(none)')
    const row = this.#rows.get(name) ?? emptyRow(name)
    this.#rows.set(name, row)
    const tokens = input + output
    const cost = tokens > 0 ? this.#cost(used) : undefined
    for (const sum of [row, this.total]) {
      sum.requests += used.requests
      sum.refused += used.refused
      sum.inputTokens += input
      sum.cachedTokens += cached
      sum.outputTokens += output
      if (cost !== undefined) sum.costUsd = inNanos((sum.costUsd ?? 0) + cost)
      else sum.unpricedTokens += tokens
    }
  }

  #cost({ model, input, cached, output, cost }: Used): number | undefined {
    if (cost !== undefined && !this.#wins) return cost
    return model === undefined ? undefined : this.#pricing(model, { input, cached, output })
  }

  /** Days are in chronological order. Otherwise the largest usage comes first. */
  rows(): UsageRow[] {
    const size = ({ inputTokens, outputTokens }: UsageRow) => inputTokens + outputTokens
    return [...this.#rows.values()].sort((a, b) =>
      this.#by === 'day'
        ? a.name.localeCompare(b.name)
        : size(b) - size(a) || b.requests - a.requests || a.name.localeCompare(b.name),
    )
  }
}

/** Rounded to a billionth of a dollar, which hides binary fractions. */
const inNanos = (usd: number) => Math.round(usd * 1e9) / 1e9

const emptyRow = (name: string): UsageRow => ({
  ...{ name, requests: 0, refused: 0, inputTokens: 0, cachedTokens: 0, outputTokens: 0 },
  ...{ costUsd: null, unpricedTokens: 0 },
})

/** As JSON, with the name under the key of its kind. */
const named = (by: By, { name, ...sums }: UsageRow) => ({ [by]: name, ...sums })

function csv(by: By, rows: readonly UsageRow[]): string {
  const columns = Object.keys(emptyRow('')) as (keyof UsageRow)[]
  const keys = columns.filter((column) => column !== 'name')
  const lines = rows.map((row) => [row.name, ...keys.map((key) => row[key] ?? '')])
  return [[by, ...keys], ...lines].map((line) => line.map(quoted).join(',')).join('\n')
}

const quoted = (value: string | number) => {
  const text = String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const HEAD = ['requests', 'refused', 'input', 'cached', 'output', 'cost']
const MOST_NAME = 40

function table(by: By, rows: readonly UsageRow[], total: UsageRow): string {
  const cells = [...rows, ...(rows.length > 1 ? [total] : [])].map((row) => [
    row.name.length > MOST_NAME ? `${row.name.slice(0, MOST_NAME - 1)}…` : row.name,
    ...[row.requests, row.refused, row.inputTokens, row.cachedTokens, row.outputTokens].map(count),
    row.costUsd === null ? '-' : `$${row.costUsd.toFixed(row.costUsd < 10 ? 4 : 2)}`,
  ])
  const all = [[by, ...HEAD], ...cells]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  const lines = all.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  )
  const unpriced =
    total.unpricedTokens > 0
      ? [`\n${count(total.unpricedTokens)} tokens have no known price: --prices FILE`]
      : []
  return [...lines, ...unpriced].join('\n')
}

const count = (n: number) => n.toLocaleString('en', { maximumFractionDigits: 0 })
