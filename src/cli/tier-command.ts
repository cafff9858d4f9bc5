// "What would a higher tier give?", as a command that is ready to run.

import { HOUR, MINUTE } from '../lib/units.ts'
import { type Columns, lastOf } from './page/columns.ts'
import type { RunSeries } from './page/index.ts'
import { binding } from './page/totals.ts'

/** Plays the calls of the limiter that waited most against its limits, and against twice as much. */
export function tierCommand(series: RunSeries, file: string): string | undefined {
  const { limiters, causes } = series
  const waited = [...limiters].sort((a, b) => b.totals.waitedS - a.totals.waitedS)[0]
  if (!waited || waited.totals.requests === 0) return undefined
  const { columns, totals } = waited
  const rpm = lastOf(columns.limit)
  const tokens = tokenTiers(columns)
  const cause = binding(totals, causes)[0]?.cause
  const places = cause?.kind === 'concurrency' ? cause.amount : undefined
  const tiers = [
    ...tierOf('--rpm', rpm),
    ...tokens,
    ...(rpm === undefined && tokens.length === 0 ? tierOf('--max-concurrent', places) : []),
  ]
  if (tiers.length === 0) return undefined
  const name = limiters.length > 1 ? ['--name', quoted(columns.name)] : []
  return ['npx llmiter simulate --from', quoted(file), ...name, ...tiers].join(' ')
}

const FLAGS: Record<string, string> = { inputTokens: '--itpm', outputTokens: '--otpm', tokens: '--tpm' }

/** Each limit of tokens by its own flag; a log of an earlier version knows only the first of them. */
function tokenTiers({ limits, tokenLimit }: Columns): string[] {
  const known = limits.filter(({ of, perMs }) => Object.hasOwn(FLAGS, of) && perMs < HOUR)
  // Where directions have limits, the replay knows their tokens apart.
  const apart = known.some(({ of }) => of !== 'tokens')
  const tiers = known.filter(({ of }) => !apart || of !== 'tokens')
  if (tiers.length === 0) return tierOf('--tpm', lastOf(tokenLimit))
  return tiers.flatMap(({ of, perMs, amount }) => {
    const last = lastOf(amount)
    return tierOf(FLAGS[of]!, last && Math.round((last * MINUTE) / perMs))
  })
}

const tierOf = (flag: string, limit: number | undefined): string[] =>
  limit === undefined || limit <= 0 ? [] : [flag, `${limit},${2 * limit}`]

/** For a shell. */
const quoted = (text: string) => (/^[\w./:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
