// What a call is charged against the minute, by each provider's own rule.
//
// The limiter's own rule is the plain one: an estimate of input and output is reserved and corrected by what was
// used. A provider that charges otherwise has its rule here. What is charged at the start does not come back, so
// such a rule also settles with what it has reserved, whatever the answer says.

import type { Cost, Usage } from 'llmiter'

/** A request, as far as its charge goes. */
interface Asked {
  readonly request: unknown
  /** Counted, or estimated and then no more than any limit holds: an estimate must not make a call too large. */
  readonly inputTokens: number
  /** The most that the request allows for its answer. */
  readonly maxOutputTokens: number | undefined
}

export interface Charge {
  /** What a call costs; what this does not name, the limiter estimates from the request. */
  cost(asked: Asked): Partial<Cost>
  /** What it has used of the limits, by what the answer says and what was reserved. */
  used(usage: Usage, cost: Partial<Cost>): Usage
}

/** Input and output, corrected by what was used (Anthropic, Groq, Mistral, Fireworks, Together, OpenRouter). */
export const byUsage: Charge = { cost: () => ({}), used: (usage) => usage }

/** The tokens that were reserved stay, where any were. */
const atTheStart = (usage: Usage, { tokens }: Partial<Cost>): Usage =>
  tokens === undefined ? usage : { ...usage, tokens }

/** OpenAI: at the start, the larger of `max_tokens` and an estimate from the characters. */
export const openaiCharge: Charge = {
  cost: ({ inputTokens, maxOutputTokens = 0 }) => ({ tokens: Math.max(inputTokens, maxOutputTokens) }),
  used: atTheStart,
}

/** Azure OpenAI: at the start, the prompt and `max_tokens` for each of `best_of` answers. */
export const azureCharge: Charge = {
  cost({ request, inputTokens, maxOutputTokens }) {
    if (maxOutputTokens === undefined) return {}
    const { best_of: answers } = Object(request) as { best_of?: unknown }
    return { tokens: inputTokens + maxOutputTokens * (typeof answers === 'number' ? answers : 1) }
  },
  used: atTheStart,
}

/** Gemini: the input alone. Each text of a batch of embeddings counts as a request. */
export const inputOnly: Charge = {
  cost({ request }) {
    const { requests } = Object(request) as { requests?: unknown }
    return { outputTokens: 0, ...(Array.isArray(requests) && { requests: requests.length }) }
  },
  // A total without its parts holds output too.
  used: ({ inputTokens, tokens: _, ...usage }) =>
    inputTokens === undefined ? usage : { ...usage, inputTokens, tokens: inputTokens },
}
