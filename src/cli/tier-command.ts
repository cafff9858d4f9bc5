// Creates a ready-to-run command that shows the effect of a higher tier.

import { HOUR, MINUTE } from '../lib/units.ts'
import type { Cause } from './page/causes.ts'
import { type Columns, lastOf } from './page/columns.ts'
import type { RunSeries } from './page/index.ts'
import { binding } from './page/totals.ts'

/** Replays the calls of the limiter that waited most, with its limits and with twice as much. */
export function tierCommand(series: RunSeries, file: string): string | undefined {
  const { limiters, causes } = series
  const waited = [...limiters].sort((a, b) => b.totals.waitedS - a.totals.waitedS)[0]
  if (!waited || waited.totals.requests === 0) return undefined
  const { columns, totals } = waited
  const tiers = tiersFor(columns, binding(totals, causes)[0]?.cause)
  if (tiers.length === 0) return undefined
  const name = limiters.length > 1 ? ['--name', quoted(columns.name)] : []
  return ['npx llmiter simulate --from', quoted(file), ...name, ...tiers].join(' ')
}

/**
 * The limits that would have to be higher. None if no limit held the calls, or one that `simulate` does not
 * support.
 */
function tiersFor(columns: Columns, cause: Cause | undefined): string[] {
  switch (cause?.kind) {
    case undefined:
      return rates(columns)
    case 'limit':
      return cause.perMs === undefined || cause.perMs < HOUR ? limitTiers(columns, cause) : []
    case 'gate':
      return cause.refused === 'rate' ? rates(columns) : []
    case 'concurrency':
      return cause.amount === undefined
        ? []
        : ['--provider', 'concurrency', ...tierOf('--max-concurrent', cause.amount)]
    default:
      return []
  }
}

/** Of a parent's limits, only the one that bound is known. */
function limitTiers(columns: Columns, { limiter, of = '', amount, perMs = MINUTE }: Cause): string[] {
  if (limiter === undefined) return rates(columns)
  return Object.hasOwn(FLAGS, of) ? tierOf(FLAGS[of]!, amount && perMinute(amount, perMs)) : []
}

const rates = (columns: Columns): string[] => [
  ...tierOf('--rpm', lastOf(columns.limit)),
  ...tokenTiers(columns),
]

const perMinute = (amount: number, perMs: number) => Math.round((amount * MINUTE) / perMs)

const TOKENS = ['inputTokens', 'outputTokens', 'tokens']
const FLAGS: Record<string, string> = {
  requests: '--rpm',
  inputTokens: '--itpm',
  outputTokens: '--otpm',
  tokens: '--tpm',
}

/** One flag per token limit. A log of an earlier version contains only the first of them. */
function tokenTiers({ limits, tokenLimit }: Columns): string[] {
  const known = limits.filter(({ of, perMs }) => TOKENS.includes(of) && perMs < HOUR)
  // If input or output is limited, the replay knows their tokens separately.
  const apart = known.some(({ of }) => of !== 'tokens')
  const tiers = known.filter(({ of }) => !apart || of !== 'tokens')
  if (tiers.length === 0) return tierOf('--tpm', lastOf(tokenLimit))
  return tiers.flatMap(({ of, perMs, amount }) => {
    const last = lastOf(amount)
    return tierOf(FLAGS[of]!, last && perMinute(last, perMs))
  })
}

const tierOf = (flag: string, limit: number | undefined): string[] =>
  limit === undefined || limit <= 0 ? [] : [flag, `${limit},${2 * limit}`]

/** Quotes an argument for a shell. */
const quoted = (text: string) => (/^[\w./:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
