import { expect, test } from 'vitest'
import { estimateTokens } from '../../src/responses/index.ts'

const BASE64 = Buffer.from(Array.from({ length: 700_000 }, (_, i) => (i * 7919) % 251)).toString('base64')
const LINES = BASE64.replace(/.{76}/g, '$&\n')

test.each([
  ['a data URL in JSON text', { content: JSON.stringify({ image: `data:image/png;base64,${BASE64}` }) }],
  [
    'a data URL in the middle of a text',
    { content: `Look at this: data:image/png;base64,${BASE64} and tell` },
  ],
  ['base64 broken into lines', { data: LINES }],
  ['the same in JSON text', { content: JSON.stringify({ file: LINES }) }],
  ['inline data', { inlineData: { mimeType: 'application/pdf', data: BASE64 } }],
  ['inline data in lines', { inlineData: { mimeType: 'application/pdf', data: LINES } }],
  ['a small picture', { content: 'data:image/gif;base64,R0lGODlhAQABAAAAACw=' }],
])('%s counts as media, not as text', (_name, message) => {
  expect(estimateTokens([{ messages: [message] }]).inputTokens).toBeLessThan(2000)
})

test('a long text stays a text', () => {
  expect(estimateTokens(['a long story of words '.repeat(1000)]).inputTokens).toBeGreaterThan(5000)
})
