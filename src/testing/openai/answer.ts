/**
 * Creates the answers of OpenAI's API: bodies and stream events.
 *
 * The text is the same for the same number of tokens: words of three letters and a space, so that each word is one
 * token by the rule in request.ts.
 */
import type { ModelRequest } from './request.ts'

/** A future answer: `tokens` of text, ended by the token limit or at its natural end. */
export interface Answer {
  id: string
  request: ModelRequest
  createdAtS: number
  tokens: number
  cutOff: boolean
}

/** One server-sent event in wire format, and whether it contains one more token. */
export interface ServerSentEvent {
  text: string
  token: boolean
}

const words = ['the ', 'sun ', 'and ', 'sea ', 'are ', 'old ', 'but ', 'our ', 'day ', 'new ']

function wordsOf(tokens: number): string[] {
  return Array.from({ length: tokens }, (_, i) => words[i % words.length]!)
}

function frame(data: unknown, token = false): ServerSentEvent {
  return { text: `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`, token }
}

/** The body of a chat completion or a response, without streaming. */
export function answerBody(answer: Answer): object {
  return answer.request.endpoint === 'chat' ? chatBody(answer) : responseBody(answer, 'over')
}

/** The stream events of a chat completion or a response. */
export function answerFrames(answer: Answer): ServerSentEvent[] {
  return answer.request.endpoint === 'chat' ? chatFrames(answer) : responseFrames(answer)
}

function chatUsage({ request, tokens }: Answer) {
  const { inputTokens } = request
  return { prompt_tokens: inputTokens, completion_tokens: tokens, total_tokens: inputTokens + tokens }
}

function chatBody(answer: Answer) {
  const message = { role: 'assistant', content: wordsOf(answer.tokens).join(''), refusal: null }
  return {
    id: `chatcmpl-${answer.id}`,
    object: 'chat.completion',
    created: answer.createdAtS,
    model: answer.request.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason(answer) }],
    usage: chatUsage(answer),
  }
}

function finishReason({ cutOff }: Answer) {
  return cutOff ? 'length' : 'stop'
}

function chatFrames(answer: Answer): ServerSentEvent[] {
  const { includeUsage } = answer.request
  const chunk = (choices: object[], usage: object | null = null) => ({
    id: `chatcmpl-${answer.id}`,
    object: 'chat.completion.chunk',
    created: answer.createdAtS,
    model: answer.request.model,
    choices,
    ...(includeUsage && { usage }),
  })
  const choice = (delta: object, finish_reason: string | null = null) =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason }])
  return [
    frame(choice({ role: 'assistant', content: '' })),
    ...wordsOf(answer.tokens).map((content) => frame(choice({ content }), true)),
    frame(choice({}, finishReason(answer))),
    ...(includeUsage ? [frame(chunk([], chatUsage(answer)))] : []),
    frame('[DONE]'),
  ]
}

function responseBody(answer: Answer, progress: 'begun' | 'over') {
  const over = progress === 'over'
  const { inputTokens, maxOutputTokens = null, model } = answer.request
  return {
    id: `resp_${answer.id}`,
    object: 'response',
    created_at: answer.createdAtS,
    status: over ? endStatus(answer) : 'in_progress',
    error: null,
    incomplete_details: over && answer.cutOff ? { reason: 'max_output_tokens' } : null,
    instructions: null,
    max_output_tokens: maxOutputTokens,
    metadata: {},
    model,
    output: over ? [responseMessage(answer, 'over')] : [],
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    usage: over
      ? {
          input_tokens: inputTokens,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: answer.tokens,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: inputTokens + answer.tokens,
        }
      : null,
  }
}

function endStatus({ cutOff }: Answer) {
  return cutOff ? 'incomplete' : 'completed'
}

function textPart(text: string) {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

function responseMessage(answer: Answer, progress: 'begun' | 'over') {
  const over = progress === 'over'
  return {
    id: `msg_${answer.id}`,
    type: 'message',
    role: 'assistant',
    status: over ? endStatus(answer) : 'in_progress',
    content: over ? [textPart(wordsOf(answer.tokens).join(''))] : [],
  }
}

function responseFrames(answer: Answer): ServerSentEvent[] {
  let sequence_number = 0
  const event = (type: string, fields: object, token = false): ServerSentEvent => {
    const { text } = frame({ type, sequence_number: sequence_number++, ...fields })
    return { text: `event: ${type}\n${text}`, token }
  }
  const inPart = { item_id: `msg_${answer.id}`, output_index: 0, content_index: 0 }
  const text = wordsOf(answer.tokens).join('')
  const begun = responseBody(answer, 'begun')
  return [
    event('response.created', { response: begun }),
    event('response.in_progress', { response: begun }),
    event('response.output_item.added', { output_index: 0, item: responseMessage(answer, 'begun') }),
    event('response.content_part.added', { ...inPart, part: textPart('') }),
    ...wordsOf(answer.tokens).map((delta) =>
      event('response.output_text.delta', { ...inPart, delta, logprobs: [] }, true),
    ),
    event('response.output_text.done', { ...inPart, text, logprobs: [] }),
    event('response.content_part.done', { ...inPart, part: textPart(text) }),
    event('response.output_item.done', { output_index: 0, item: responseMessage(answer, 'over') }),
    event(`response.${endStatus(answer)}`, { response: responseBody(answer, 'over') }),
  ]
}

export function embeddingsBody({ model, inputs, inputTokens, dimensions, base64 }: ModelRequest): object {
  const vector = (index: number) => Float32Array.from({ length: dimensions }, (_, i) => Math.sin(index + i))
  return {
    object: 'list',
    data: Array.from({ length: inputs }, (_, index) => ({
      object: 'embedding',
      index,
      embedding: base64 ? Buffer.from(vector(index).buffer).toString('base64') : [...vector(index)],
    })),
    model,
    usage: { prompt_tokens: inputTokens, total_tokens: inputTokens },
  }
}

export function modelBody(id: string): object {
  return { id, object: 'model', created: 0, owned_by: 'llmiter' }
}
