// How each provider charges a call against its limits.
//
// By default, an estimate of input and output is reserved and later corrected by actual usage. Providers that
// charge differently have a rule here. What is charged at the start is not refunded, so such a rule settles with
// the reserved amount, whatever the answer reports.

import type { Cost, Usage } from 'llmiter'

/** The parts of a request that determine its charge. */
interface Asked {
  readonly request: unknown
  /**
   * Counted exactly, or estimated. An estimate is cut to what every limit can hold, so that it does not make a
   * call too large.
   */
  readonly inputTokens: number
  /** The maximum output that the request allows. */
  readonly maxOutputTokens: number | undefined
}

export interface Charge {
  /** The cost of a call. The limiter estimates what is missing from the request. */
  cost(asked: Asked): Partial<Cost>
  /** What the call used of the limits, from the usage in the answer and the reserved cost. */
  used(usage: Usage, cost: Partial<Cost>): Usage
}

/** Input and output, corrected by actual usage (Anthropic, Groq, Mistral, Fireworks, Together, OpenRouter). */
export const byUsage: Charge = { cost: () => ({}), used: (usage) => usage }

/** Keeps the reserved tokens, if any were reserved. */
const atTheStart = (usage: Usage, { tokens }: Partial<Cost>): Usage =>
  tokens === undefined ? usage : { ...usage, tokens }

/** OpenAI: at the start, the larger of `max_tokens` and an estimate from the characters. */
export const openaiCharge: Charge = {
  cost: ({ inputTokens, maxOutputTokens = 0 }) => ({ tokens: Math.max(inputTokens, maxOutputTokens) }),
  used: atTheStart,
}

/** Azure OpenAI: at the start, the prompt plus `max_tokens` for each of `best_of` answers. */
export const azureCharge: Charge = {
  cost({ request, inputTokens, maxOutputTokens }) {
    if (maxOutputTokens === undefined) return {}
    const { best_of: answers } = Object(request) as { best_of?: unknown }
    return { tokens: inputTokens + maxOutputTokens * (typeof answers === 'number' ? answers : 1) }
  },
  used: atTheStart,
}

/** Gemini: only the input. Each text of an embedding batch counts as a request. */
export const inputOnly: Charge = {
  cost({ request }) {
    const { requests } = Object(request) as { requests?: unknown }
    return { outputTokens: 0, ...(Array.isArray(requests) && { requests: requests.length }) }
  },
  // A total without its parts includes output.
  used: ({ inputTokens, tokens: _, ...usage }) =>
    inputTokens === undefined ? usage : { ...usage, inputTokens, tokens: inputTokens },
}
