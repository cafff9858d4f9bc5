import { expect, test } from 'vitest'
import { classify, headersOf } from '../../src/responses/index.ts'
import { geminiRequestsPerDay, openaiNoMoney, openaiTokens, thrown, wall } from './bodies.ts'

/** One body, as each SDK keeps it; the shapes are those of the versions named in PROVIDERS. */
function shapes(body: { error: object }, status: number): [sdk: string, fields: object, message?: string][] {
  const text = JSON.stringify(body)
  const apiCall = {
    name: 'AI_APICallError',
    statusCode: status,
    responseHeaders: { 'Retry-After': '2' },
    responseBody: text,
  }
  return [
    ['openai', { status, headers: new Headers({ 'retry-after': '2' }), ...body.error, error: body.error }],
    ['anthropic', { status, headers: new Headers({ 'retry-after': '2' }), error: body }, `${status} ${text}`],
    ['groq', { status, headers: new Headers({ 'retry-after': '2' }), error: body }],
    ['@google/genai', { name: 'ApiError', status }, text],
    [
      '@google/genai, twice wrapped',
      { status },
      JSON.stringify({ error: { message: text, code: status, status: '' } }),
    ],
    ['@google/genai, older', {}, `got status: ${status}. ${text}`],
    ['mistral', { statusCode: status, headers: new Headers({ 'retry-after': '2' }), body: text }],
    ['cohere', { statusCode: status, body, rawResponse: { headers: new Headers({ 'retry-after': '2' }) } }],
    ['ai', apiCall],
    ['ai after its retries', { name: 'AI_RetryError', lastError: thrown(apiCall).error }],
    ['axios', { code: 'ERR_BAD_REQUEST', response: { status, headers: { 'retry-after': '2' }, data: body } }],
    ['langchain', { cause: thrown({ status, error: body.error }).error }],
  ]
}

test.each(shapes(openaiTokens, 429))('a rate is found in an error of %s', (sdk, fields, message) => {
  const outcome = thrown(fields, message)
  expect(classify(outcome, wall)).toMatchObject({ kind: 'rate', of: 'tokens', limit: 200_000 })
  const headers = headersOf(outcome.error)
  if (/genai|langchain/.test(sdk)) expect(headers).toBeUndefined()
  else expect(headers?.get('retry-after')).toBe('2')
})

test.each(shapes(openaiNoMoney, 429))(
  'a quota is distinguished from a rate in an error of %s',
  (_sdk, fields, message) => {
    expect(classify(thrown(fields, message), wall)?.kind).toBe('quota')
  },
)

test.each(shapes(geminiRequestsPerDay, 429))(
  "Gemini's day is found in an error of %s",
  (_sdk, fields, message) => {
    expect(classify(thrown(fields, message), wall)).toMatchObject({ kind: 'quota', limit: 20 })
  },
)

test('@google/generative-ai keeps the details apart from the words', () => {
  const { details, message } = geminiRequestsPerDay.error
  const fields = { status: 429, statusText: 'Too Many Requests', errorDetails: details }
  const outcome = thrown(fields, `[429 Too Many Requests] ${message} ${JSON.stringify(details)}`)
  expect(classify(outcome, wall)).toMatchObject({ kind: 'quota', of: 'requests', limit: 20 })
})

test('Bedrock keeps the status apart', () => {
  const fields = {
    name: 'ThrottlingException',
    $metadata: { httpStatusCode: 429 },
    $response: { headers: { 'Retry-After': '4' } },
  }
  expect(classify(thrown(fields), wall)).toMatchObject({ kind: 'rate', status: 429, waitMs: 4000 })
})
