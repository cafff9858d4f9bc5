/**
 * How many tokens a call will take, guessed from its arguments before it is sent.
 *
 * A guess only has to be of the right size: the limiter corrects it by what calls really use. So there is
 * no tokenizer here, but a walk over whatever was passed that stays cheap for long prompts and harmless
 * for anything else: it is bounded, it does not look into clients, streams or buffers, and it takes an
 * image for an image and not for a million characters of base64.
 */

import { get, guard, isObject, isPlain, parseJson } from './safe-access.ts'

/** Between the 258 of Gemini's smallest and the 1600 of Anthropic's largest. */
const IMAGE_TOKENS = 800
const MAX_NODES = 10_000
const MAX_DEPTH = 12
const SAMPLES = 1000

const IMAGE_TYPE = /^(input_)?image(_url)?$/
/** A data URL, or base64 longer than any word, in one piece or broken into lines, wherever it stands in a text. */
const MEDIA_TEXT =
  /(?:data:[\w/+.-]+(?:;[\w=-]+)*,)?(?:[\w+/-]{256,}|(?:[\w+/-]{60,128}(?:\\[nr]|\s){1,4}){4,}[\w+/-]*)={0,2}|data:[\w/+.-]+(?:;[\w=-]+)*;base64,[\w+/-]+={0,2}/g
/** Models that answer without tokens of output. */
const NO_OUTPUT = /embed|rerank|moderation/i
const MAX_OUTPUT = /^max_?(completion_?|output_?)?tokens$/i

/** About four Latin letters to a token, two of other alphabets, one of Chinese, Japanese or Korean. */
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

/** Of a class only what messages (LangChain's, say) are made of, and only as plain fields. */
function keysOf(value: object): string[] {
  return isPlain(value) || Array.isArray(value)
    ? Object.keys(value)
    : ['content', 'text'].filter((key) => Object.hasOwn(value, key))
}

/** The most tokens of output that a field of a request allows. */
function outputBound(key: string, value: unknown): number | undefined {
  if (key === 'model') return NO_OUTPUT.test(String(value)) ? 0 : undefined
  return typeof value === 'number' && value > 0 && MAX_OUTPUT.test(key) ? value : undefined
}

export interface TokenEstimate {
  inputTokens: number
  /** The most tokens of output that the arguments allow, if they say so. */
  maxOutputTokens?: number
}

/** The estimate, and whether there are media among the arguments: those are guessed far worse than text. */
export function examine(args: readonly unknown[]): TokenEstimate & { media: boolean } {
  let tokens = 0
  let nodes = 0
  let media = false
  let maxOutputTokens: number | undefined
  const seen = new Set<unknown>()

  function walk(value: unknown, depth: number): void {
    if (++nodes > MAX_NODES || depth > MAX_DEPTH) return
    if (typeof value === 'string') {
      // A body that was made ready for fetch counts as what it holds.
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
    // An array of numbers is a text that is tokens already (embeddings).
    if (Array.isArray(value) && typeof value[0] === 'number') tokens += value.length
    else if (IMAGE_TYPE.test(get(value, 'type') as string)) {
      tokens += IMAGE_TOKENS
      media = true
    } else
      for (const key of keysOf(value)) {
        const held = get(value, key)
        // Names cost tokens too: those of a schema are part of the prompt, the others stand for its frame.
        tokens += key.length / 4
        if (depth < 4) maxOutputTokens ??= outputBound(key, held)
        walk(held, depth + 1)
      }
  }

  guard(() => walk(args, 0))
  return { inputTokens: Math.ceil(tokens), ...(maxOutputTokens !== undefined && { maxOutputTokens }), media }
}

/** A guess of the tokens that these arguments will take. Cheap for long prompts, harmless for anything else. */
export function estimateTokens(args: readonly unknown[]): TokenEstimate {
  const { inputTokens, maxOutputTokens } = examine(args)
  return { inputTokens, ...(maxOutputTokens !== undefined && { maxOutputTokens }) }
}
