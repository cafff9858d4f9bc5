/**
 * Reads what a call used from the results and stream events of the known SDKs.
 *
 * SDKs differ in where they put the usage and how they name its fields, not in what the fields mean. So there is
 * one list of places and one list of names. The usage is what counts against a limit: cache writes count as input.
 * Cache reads do not count for providers that exempt them (Anthropic, Bedrock, Groq). Gemini's thoughts count as
 * output.
 */

import { get, guard, isObject, isPlain, known, reach } from './safe-access.ts'

/** What a call used of each limit. */
export interface Usage {
  /** Requests. */
  requests?: number
  /** Input and output tokens together. */
  tokens?: number
  /** Input tokens that count against the limit. */
  inputTokens?: number
  /** Output tokens. */
  outputTokens?: number
  [dimension: string]: number | undefined
}

/**
 * Where usage is found, in order of preference: the total of several steps before one step; for Cohere, tokens
 * before billed units.
 */
const PLACES = [
  'totalUsage',
  'usage',
  'usageMetadata',
  'usage_metadata',
  'meta',
  'tokens',
  'billed_units',
  'billedUnits',
]
/**
 * The events that carry a message, and the bodies of raw answers. Only plain objects are read: on an instance such
 * a name may be a getter with side effects (`data` of a Gemini result prints a warning).
 */
const HOLDERS = ['response', 'message', 'delta', 'data', 'x_groq', 'choices', 'metadata']

const INPUT = /^(total_)?(input|prompt)_?token(s|count)$/i
const OUTPUT = /^(total_)?(output|completion|candidates)_?token(s|count)$/i
const TOTAL = /^total_?token(s|count)$/i

/** Servers that speak two dialects report a count twice. At its model level the AI SDK wraps it in `total`. */
function most(counts: object, name: RegExp): number | undefined {
  const found = Object.keys(counts)
    .filter((key) => name.test(key))
    .map((key) => get(counts, key))
    .map((count) => (isObject(count) ? get(count, 'total') : count))
    .filter((count): count is number => Number.isFinite(count) && (count as number) >= 0)
  return found.length ? Math.max(...found) : undefined
}

function plus(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : a + (b ?? 0)
}

function less(count: number | undefined, free: number): number | undefined {
  return count && Math.max(0, count - free)
}

/**
 * Providers whose limits exempt cache reads. Their native answers already exclude cache reads, other formats
 * include them.
 */
const FREE_READS = /\b(anthropic|groq|bedrock)\b/i
/** OpenAI and Groq; the AI SDK at its model level and above; LangChain. */
const CACHED = ['prompt_tokens_details', 'inputTokens', 'inputTokenDetails', 'input_token_details']

function readsAreFree(value: object): boolean {
  const providers = Object.keys(Object(get(value, 'providerMetadata')) as object)
  providers.push(String(get(get(value, 'response_metadata'), 'model_provider')))
  return 'x_groq' in value || providers.some((provider) => FREE_READS.test(provider))
}

const cacheReads = (counts: object): number =>
  Math.max(
    ...CACHED.map((key) => most(Object(get(counts, key)), /^cache(d_tokens|Read(Tokens)?|_read)$/) ?? 0),
  )

/** A total may exceed the sum of its parts, because a part may be missing. It is never smaller. */
function whole(usage: Usage): Usage {
  const { inputTokens = 0, outputTokens = 0, tokens = 0 } = usage
  return { ...usage, tokens: Math.max(tokens, inputTokens + outputTokens) }
}

/** The usage that a result or a stream event reports. Undefined if it reports none. */
export function readUsage(value: unknown): Usage | undefined {
  return guard(() => {
    // Reading `usage` of an AI SDK stream would start to consume it.
    if (!isObject(value) || 'fullStream' in value) return undefined
    const free = readsAreFree(value)
    for (const counts of reach(value, isPlain(value) ? [...PLACES, ...HOLDERS] : PLACES)) {
      const reads = free ? cacheReads(counts) : 0
      const usage = known({
        inputTokens: plus(
          less(most(counts, INPUT), reads),
          most(counts, /^(cache_creation_i|cacheWriteInputTokens$)/),
        ),
        outputTokens: plus(most(counts, OUTPUT), most(counts, /^thoughtsT/)),
        // Bedrock's total includes cache reads (`cacheReadInputTokens`). Other providers exclude them, or do not
        // have this field.
        tokens: less(most(counts, TOTAL), reads + (most(counts, /^cacheReadInputTokens$/) ?? 0)),
      })
      if (Object.keys(usage).length) return whole(usage)
    }
    return undefined
  })
}

/**
 * Merges usage across a stream: an event replaces what earlier events reported, per dimension. (Anthropic reports
 * input at the start and cumulative output at the end.)
 */
export function mergeUsage(into: Usage | undefined, chunk: unknown): Usage | undefined {
  const next = readUsage(chunk)
  return next && into ? whole({ ...into, ...next }) : (next ?? into)
}
