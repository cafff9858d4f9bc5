/**
 * `npm run demo`: many calls, all started at once, go to a provider that refuses as real ones do. First through
 * the SDK alone, with its own retries, and then through a limiter.
 *
 * It needs no key: the provider is a server on this machine. `npm run demo -- --live` calls the real API. The
 * limiter writes a log, which `npx llmiter graph` draws.
 */
import OpenAI from 'openai'
import { BucketRateLimiter } from 'llmiter'
import { logTo } from 'llmiter/log'
import { runCrowd } from './support/crowd.ts'
import { headline } from './support/headline.ts'
import { openProvider } from './support/provider.ts'
import { printTable, wrapped } from './support/screen.ts'
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
  const openai = new OpenAI({ ...provider.client, maxRetries: 0 }) // refused calls wait in our queue
  const limiter = new BucketRateLimiter({ name: model, requestsPerMinute, tokensPerMinute })
  logTo(limiter)
  const ask = (input: string) => openai.responses.create({ model, input })

  return runCrowd('with llmiter', prompts, ask, provider, limiter)
}

console.log(`${wrapped(headline(settings, prompts[0]!))}\n`)
const results = [await sdkAlone(), await withLlmiter()]
printTable(results)
console.log(`\nThe result with llmiter:\n${wrapped(results[1]!.summary ?? '')}`)
console.log(wrapped('\nTo see what the limiter did: npx llmiter graph --open'))
