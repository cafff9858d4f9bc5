/**
 * `npm run example examples/embeddings.ts`: embeds a thousand texts, in requests of a hundred, with a limit on
 * tokens per minute. The tokens of a request are estimated from its texts, and corrected by the answer.
 *
 * It needs no key: the provider is a server on this machine.
 */
import OpenAI from 'openai'
import { limitOpenAI } from 'llmiter/openai'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const TEXTS = Array.from(
  { length: 1000 },
  (_, i) => `Text number ${i}: limits are met, and nothing is refused.`,
)
const AT_ONCE = 100

const limits = { requestsPerMinute: 3000, tokensPerMinute: 1_000_000 }
const provider = await startHttpProvider({ model: new TokenBucketProvider(limits) })
const openai = limitOpenAI(new OpenAI({ apiKey: 'any', baseURL: provider.url }), limits)

const parts = Array.from({ length: TEXTS.length / AT_ONCE }, (_, i) =>
  TEXTS.slice(i * AT_ONCE, (i + 1) * AT_ONCE),
)
// All at once: the limiter controls the pace, and the order of refused calls.
const answers = await Promise.all(
  parts.map((input) => openai.embeddings.create({ model: 'text-embedding-3-small', input })),
)
const vectors = answers.flatMap(({ data }) => data.map(({ embedding }) => embedding))
const tokens = answers.reduce((sum, { usage }) => sum + usage.total_tokens, 0)
console.log(
  `${vectors.length} vectors of ${vectors[0]!.length} numbers, ${tokens} tokens in ${answers.length} requests`,
)
console.log(`${provider.requests.refused} requests were refused`)
await provider.close()
