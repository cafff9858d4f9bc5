/**
 * Parses a request to OpenAI's API into what matters for limits: the length of the prompt, the maximum output, and
 * whether it is a stream.
 *
 * Tokens are counted as characters ÷ 4, of the text only. A real tokenizer would take a megabyte, and a test could
 * not compute the number in advance.
 */

const CHARS_PER_TOKEN = 4

export type Endpoint = 'chat' | 'responses' | 'embeddings'

export interface ModelRequest {
  endpoint: Endpoint
  model: string
  inputTokens: number
  maxOutputTokens?: number
  stream: boolean
  /** Chat only: whether the stream ends with a usage chunk. */
  includeUsage: boolean
  /** Embeddings only. */
  inputs: number
  dimensions: number
  base64: boolean
}

/** An invalid request, with OpenAI's error. */
export interface InvalidRequest {
  message: string
  param: string | null
  code: string | null
}

type Json = Record<string, unknown>

export function isInvalid(request: ModelRequest | InvalidRequest): request is InvalidRequest {
  return 'message' in request
}

export function readRequest(endpoint: Endpoint, text: string): ModelRequest | InvalidRequest {
  const body = parse(text)
  if (!isObject(body)) {
    return { message: 'We could not parse the JSON body of your request.', param: null, code: null }
  }
  if (typeof body['model'] !== 'string') {
    return { message: 'you must provide a model parameter', param: null, code: null }
  }
  const prompt = body[endpoint === 'chat' ? 'messages' : 'input']
  if (prompt === undefined) {
    const param = endpoint === 'chat' ? 'messages' : 'input'
    return { message: `Missing required parameter: '${param}'.`, param, code: 'missing_required_parameter' }
  }
  const maxOutputTokens = body['max_output_tokens'] ?? body['max_completion_tokens'] ?? body['max_tokens']
  return {
    endpoint,
    model: body['model'],
    inputTokens: Math.ceil((textLength(prompt) + textLength(body['instructions'])) / CHARS_PER_TOKEN),
    ...(typeof maxOutputTokens === 'number' && { maxOutputTokens }),
    stream: body['stream'] === true,
    includeUsage: isObject(body['stream_options']) && body['stream_options']['include_usage'] === true,
    inputs: Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length : 1,
    dimensions: typeof body['dimensions'] === 'number' ? body['dimensions'] : 8,
    base64: body['encoding_format'] === 'base64',
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Messages contain texts, or parts with texts. Embeddings may also contain token numbers. */
function textLength(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value === 'number') return CHARS_PER_TOKEN
  if (Array.isArray(value)) return value.reduce<number>((sum, part) => sum + textLength(part), 0)
  if (isObject(value)) return textLength(value['content'] ?? value['text'])
  return 0
}
