/**
 * `npm run example examples/langchain.ts`: LangChain models with a limiter, through a limited `fetch`.
 *
 * It needs no key: the provider is a server on this machine.
 */
import { ChatOpenAI } from '@langchain/openai'
import { limitFetch } from 'llmiter/fetch'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const provider = await startHttpProvider({
  model: new TokenBucketProvider({ requestsPerMinute: 1200, capacityMs: 1000 }),
})
const model = new ChatOpenAI({
  model: 'gpt-5',
  apiKey: 'any',
  maxRetries: 0, // refused calls wait in our queue, so LangChain must not retry on its own
  configuration: {
    baseURL: provider.url,
    fetch: limitFetch(fetch, { name: 'gpt-5', requestsPerMinute: 1200 }),
  },
})
const answers = await model.batch(Array.from({ length: 30 }, (_, i) => `What is ${i} plus ${i}?`))
console.log(`${answers.length} answers, ${provider.requests.refused} refused`)
await provider.close()
