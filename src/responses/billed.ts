// The tokens of an answer as they are billed. Fewer tokens may count against a limit: some providers do not count
// tokens read from a cache, but all providers bill them.

import { readUsage, type Usage } from './usage.ts'

/** Tokens as they are billed. */
export interface Billed {
  /** Input tokens, including those read from a cache. */
  readonly input: number
  /** Input tokens read from the provider's cache. */
  readonly cached: number
  /** Output tokens. */
  readonly output: number
}

const HOLDERS = ['usage', 'usageMetadata', 'response', 'message', 'data', 'totalUsage']

const count = (from: unknown, ...names: string[]): number | undefined => {
  for (const name of names) {
    const found = (Object(from) as Record<string, unknown>)[name]
    if (typeof found === 'number' && found >= 0) return found
  }
  return undefined
}

/**
 * The billed tokens of an answer or of one stream event. Undefined if it reports none. `said` replaces the usage
 * in the answer.
 */
export function billedOf(answer: unknown, said?: Usage): Billed | undefined {
  const usage = said ?? readUsage(answer)
  if (!usage) return undefined
  const { inputTokens, outputTokens, tokens = 0 } = usage
  const counts = said ? undefined : countsIn(answer, 3)
  const apart = count(counts, 'cache_read_input_tokens', 'cacheReadInputTokens')
  const details = ['prompt_tokens_details', 'input_tokens_details', 'inputTokenDetails'].map(
    (name) => (Object(counts) as Record<string, unknown>)[name],
  )
  const within = details
    .map((from) => count(from, 'cached_tokens', 'cacheReadTokens'))
    .find((n) => n !== undefined)
  const cached = apart ?? within ?? count(counts, 'cachedContentTokenCount') ?? 0
  const input = Math.max((inputTokens ?? 0) + (apart ?? 0), count(counts, 'inputTokens') ?? 0, cached)
  // If the total exceeds the sum of its parts, the difference is output that was not reported separately.
  return { input, cached, output: Math.max(outputTokens ?? 0, tokens - (inputTokens ?? 0)) }
}

function countsIn(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth === 0) return undefined
  for (const holder of HOLDERS) {
    const held = Object.getOwnPropertyDescriptor(value, holder)?.value as unknown
    if (typeof held !== 'object' || held === null) continue
    if (holder.startsWith('usage') || holder === 'totalUsage') return held
    const deeper = countsIn(held, depth - 1)
    if (deeper) return deeper
  }
  return undefined
}

/** Merges counts across the events of a stream. Each count either grows or is reported once. */
export const mergeBilled = (a: Billed | undefined, b: Billed | undefined): Billed | undefined =>
  a && b
    ? {
        input: Math.max(a.input, b.input),
        cached: Math.max(a.cached, b.cached),
        output: Math.max(a.output, b.output),
      }
    : (a ?? b)
