/**
 * `npm run demo`: a crowd of calls, all started at once, goes to a provider that refuses as real ones do. First
 * through the SDK alone, with its own retries; then through a limiter.
 *
 * It needs no key: the provider is a server on this machine. `npm run demo -- --live` asks the real API. The limiter
 * writes a log, which `npx llmiter graph` draws.
 */
import OpenAI from 'openai'
import { BucketRateLimiter, withLimiter } from 'llmiter'
import { logTo } from 'llmiter/log'
import { runCrowd } from './support/crowd.ts'
import { openProvider } from './support/provider.ts'
import { printTable } from './support/screen.ts'
import { readSettings } from './support/settings.ts'

const settings = readSettings()
const { model, calls, requestsPerMinute, tokensPerMinute } = settings
const prompts = Array.from({ length: calls }, (_, i) => `In one word: what is ${i} plus ${i}?`)

process.once('SIGINT', () => {
  process.stdout.write('\n')
  process.exit(130)
})

async function sdkAlone() {
  const provider = await openProvider(settings)
  const openai = new OpenAI(provider.client)
  const ask = (input: string) => openai.responses.create({ model, input })

  return runCrowd('SDK alone', prompts, ask, provider)
}

async function withLlmiter() {
  const provider = await openProvider(settings)
  const openai = new OpenAI({ ...provider.client, maxRetries: 0 }) // refused calls wait in our line
  const limiter = new BucketRateLimiter({ name: model, requestsPerMinute, tokensPerMinute })
  logTo(limiter)
  const ask = withLimiter((input: string) => openai.responses.create({ model, input }), limiter)

  return runCrowd('with llmiter', prompts, ask, provider)
}

const where = settings.liveKey === undefined ? 'a server on this machine' : 'the real API, twice'
console.log(`${calls} calls at once to ${where}; the limit is ${requestsPerMinute} requests a minute.\n`)
printTable([await sdkAlone(), await withLlmiter()])
console.log('\nWhat the limiter did, second by second: npx llmiter graph --open')
