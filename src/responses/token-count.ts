/**
 * Estimates how many tokens a call will use from its arguments, before it is sent.
 *
 * The estimate only needs the right order of magnitude, because the limiter corrects it by actual usage. So there
 * is no tokenizer, but a walk over the arguments. The walk is bounded and cheap for long prompts. It does not look
 * into clients, streams or buffers, and it counts an image as an image instead of a million characters of base64.
 */

import { get, guard, isObject, isPlain, parseJson } from './safe-access.ts'

/** Between the 258 tokens of Gemini's smallest image and the 1600 of Anthropic's largest. */
const IMAGE_TOKENS = 800
const MAX_NODES = 10_000
const MAX_DEPTH = 12
const SAMPLES = 1000

const IMAGE_TYPE = /^(input_)?image(_url)?$/
/** A data URL, or base64 that is longer than any word, in one piece or split into lines, anywhere in a text. */
const MEDIA_TEXT =
  /(?:data:[\w/+.-]+(?:;[\w=-]+)*,)?(?:[\w+/-]{256,}|(?:[\w+/-]{60,128}(?:\\[nr]|\s){1,4}){4,}[\w+/-]*)={0,2}|data:[\w/+.-]+(?:;[\w=-]+)*;base64,[\w+/-]+={0,2}/g
/** Models whose answers contain no output tokens. */
const NO_OUTPUT = /embed|rerank|moderation/i
const MAX_OUTPUT = /^max_?(completion_?|output_?)?tokens$/i

/**
 * About four Latin letters per token, two letters of other alphabets, one character of Chinese, Japanese or
 * Korean.
 */
function tokensIn(text: string): { tokens: number; media: boolean } {
  let media = 0
  if (text.length > 20)
    text = text.replace(MEDIA_TEXT, () => {
      media += IMAGE_TOKENS
      return ''
    })
  const step = Math.ceil(text.length / SAMPLES)
  let quarters = 0
  for (let i = 0; i < text.length; i += step) {
    const code = text.charCodeAt(i)
    quarters += code < 0x80 ? 1 : code < 0x2e80 ? 2 : 4
  }
  return { tokens: media + (quarters * step) / 4, media: media > 0 }
}

/** The keys to walk. For class instances, only the data fields that messages (such as LangChain's) use. */
function keysOf(value: object): string[] {
  return isPlain(value) || Array.isArray(value)
    ? Object.keys(value)
    : ['content', 'text'].filter((key) => Object.hasOwn(value, key))
}

/** The output bound that a field of a request sets, in tokens. */
function outputBound(key: string, value: unknown): number | undefined {
  if (key === 'model') return NO_OUTPUT.test(String(value)) ? 0 : undefined
  return typeof value === 'number' && value > 0 && MAX_OUTPUT.test(key) ? value : undefined
}

export interface TokenEstimate {
  inputTokens: number
  /** The most output tokens that the arguments allow, if they set a bound. */
  maxOutputTokens?: number
}

/** The estimate, and whether the arguments contain media. Estimates for media are far less accurate than for text. */
export function examine(args: readonly unknown[]): TokenEstimate & { media: boolean } {
  let tokens = 0
  let nodes = 0
  let media = false
  let maxOutputTokens: number | undefined
  const seen = new Set<unknown>()

  function walk(value: unknown, depth: number): void {
    if (++nodes > MAX_NODES || depth > MAX_DEPTH) return
    if (typeof value === 'string') {
      // A serialised JSON body is counted by its content.
      const body = depth < 3 && value[0] === '{' && parseJson(value)
      if (body) walk(body, depth)
      else {
        const text = tokensIn(value)
        tokens += text.tokens
        media ||= text.media
      }
    }
    if (!isObject(value) || seen.has(value)) return
    seen.add(value)
    // An array of numbers is text that is already tokenized (embeddings).
    if (Array.isArray(value) && typeof value[0] === 'number') tokens += value.length
    else if (IMAGE_TYPE.test(get(value, 'type') as string)) {
      tokens += IMAGE_TOKENS
      media = true
    } else
      for (const key of keysOf(value)) {
        const held = get(value, key)
        // Names cost tokens too. Names in a schema are part of the prompt. Other names stand for the message
        // overhead.
        tokens += key.length / 4
        if (depth < 4) maxOutputTokens ??= outputBound(key, held)
        walk(held, depth + 1)
      }
  }

  guard(() => walk(args, 0))
  return { inputTokens: Math.ceil(tokens), ...(maxOutputTokens !== undefined && { maxOutputTokens }), media }
}

/** Estimates the tokens that these arguments will use. Cheap for long prompts, and safe for any value. */
export function estimateTokens(args: readonly unknown[]): TokenEstimate {
  const { inputTokens, maxOutputTokens } = examine(args)
  return { inputTokens, ...(maxOutputTokens !== undefined && { maxOutputTokens }) }
}
