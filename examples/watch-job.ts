/**
 * `npm run example examples/watch-job.ts`: a job that logs what its limiter does. In a second terminal, `npx
 * llmiter watch` with the printed folder shows it live, and `npx llmiter graph` draws it afterwards.
 *
 * It needs no key: the provider is a server on this machine. `npm run example examples/watch-job.ts folder 100`
 * sets the folder of the log and the number of calls.
 */
import OpenAI from 'openai'
import { BucketRateLimiter } from 'llmiter'
import { logTo } from 'llmiter/log'
import { limitOpenAI } from 'llmiter/openai'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const [dir = 'logs', count = '400'] = process.argv.slice(2)

const provider = await startHttpProvider({
  model: new TokenBucketProvider({ requestsPerMinute: 1200, capacityMs: 1000 }),
})
const limiter = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 1200 })
const { file } = logTo(limiter, { dir })
console.log(`in a second terminal: npx llmiter watch ${file}`)

const openai = limitOpenAI(new OpenAI({ apiKey: 'any', baseURL: provider.url }), limiter)
const questions = Array.from({ length: Number(count) }, (_, i) => `What is ${i} plus ${i}?`)
const answers = await Promise.all(
  questions.map((input) => openai.responses.create({ model: 'gpt-5', input })),
)
console.log(`${answers.length} answers`)
await limiter.drain() // writes the rest of the log
await provider.close()
