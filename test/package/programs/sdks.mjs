// The official OpenAI client with a limiter inside, against a provider on loopback that refuses what is too fast.

import assert from 'node:assert/strict'
import OpenAI from 'openai'
import { BucketRateLimiter } from 'llmiter'
import { limitOpenAI } from 'llmiter/openai'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

let asked = 0
const provider = await startHttpProvider({
  model: new TokenBucketProvider({ requestsPerMinute: 60_000 }),
  chaos: () =>
    asked++ < 2
      ? {
          kind: 'refused',
          why: 'rate',
          status: 429,
          of: 'requests',
          limit: 60,
          used: 60,
          requested: 1,
          retryAfterMs: 20,
        }
      : undefined,
})
try {
  const limiter = new BucketRateLimiter({
    name: 'gpt-5',
    requestsPerMinute: 60_000,
    tokensPerMinute: 10_000_000,
  })
  const openai = limitOpenAI(new OpenAI({ apiKey: 'any', baseURL: provider.url }), limiter)
  assert.ok(openai instanceof OpenAI)
  const { data, response } = await openai.responses.create({ model: 'gpt-5', input: 'Hello' }).withResponse()
  assert.ok(data.output_text.length > 0 && response.status === 200)
  const messages = [{ role: 'user', content: 'Hello' }]
  const stream = await openai.chat.completions.create({ model: 'gpt-5', messages, stream: true })
  let text = ''
  for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
  assert.ok(text.length > 0)
  const { refused, issued, inFlight } = limiter.stats()
  assert.deepEqual(
    { refused, issued, inFlight },
    { refused: asked - (issued - refused), issued: asked, inFlight: 0 },
  )
} finally {
  await provider.close()
}
console.log('ok')
