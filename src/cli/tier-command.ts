// "What would a higher tier give?", as a command that is ready to run.

import type { RunSeries } from './page/index.ts'
import { binding } from './page/totals.ts'

/** Plays the calls of the limiter that waited most against its limits, and against twice as much. */
export function tierCommand(series: RunSeries, file: string): string | undefined {
  const { limiters, causes } = series
  const waited = [...limiters].sort((a, b) => b.totals.waitedS - a.totals.waitedS)[0]
  if (!waited || waited.totals.requests === 0) return undefined
  const { columns, totals } = waited
  const rpm = columns.limit.findLast((limit) => limit !== null)
  const tpm = columns.tokenLimit.findLast((limit) => limit !== null)
  const cause = binding(totals, causes)[0]?.cause
  const places = cause?.kind === 'concurrency' ? cause.amount : undefined
  const tiers = [
    ...tierOf('--rpm', rpm),
    ...tierOf('--tpm', tpm),
    ...(rpm === undefined && tpm === undefined ? tierOf('--max-concurrent', places) : []),
  ]
  if (tiers.length === 0) return undefined
  const name = limiters.length > 1 ? ['--name', quoted(columns.name)] : []
  return ['npx llmiter simulate --from', quoted(file), ...name, ...tiers].join(' ')
}

const tierOf = (flag: string, limit: number | null | undefined): string[] =>
  limit == null || limit <= 0 ? [] : [flag, `${limit},${2 * limit}`]

/** For a shell. */
const quoted = (text: string) => (/^[\w./:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
