/**
 * `npm run demo`: a crowd of calls, all started at once, goes to a provider that refuses as real ones do. First
 * through the SDK alone, with its own retries; then through a limiter.
 *
 * It needs no key: the provider is a server on this machine. `npm run demo -- --live` asks the real API. The limiter
 * writes a log, which `npx llmiter graph` draws.
 */
import OpenAI from 'openai'
import { BucketRateLimiter, estimateTokens } from 'llmiter'
import { logTo } from 'llmiter/log'
import { runCrowd } from './support/crowd.ts'
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
  const openai = new OpenAI({ ...provider.client, maxRetries: 0 }) // refused calls wait in our line
  const limiter = new BucketRateLimiter({ name: model, requestsPerMinute, tokensPerMinute })
  logTo(limiter)
  const ask = (input: string) => openai.responses.create({ model, input })

  return runCrowd('with llmiter', prompts, ask, provider, limiter)
}

/** Which limit binds: a call takes about as many tokens as the limiter reserves for it, and more where its answer is long. */
function headline(): string {
  const { inputTokens, maxOutputTokens = 0 } = estimateTokens([{ input: prompts[0] }])
  const tokens = inputTokens + maxOutputTokens
  const most = tokensPerMinute / requestsPerMinute
  const where = settings.liveKey === undefined ? 'a server on this machine' : 'the real API, twice'
  const [requestLimit, tokenLimit] = [
    `${amount(requestsPerMinute)} requests a minute`,
    `${amount(tokensPerMinute)} tokens a minute`,
  ]
  const binds =
    tokens < most
      ? `${requestLimit} while a call takes fewer than ${amount(Math.ceil(most))} tokens; these take about ${tokens}, and with longer answers ${tokenLimit} would bind.`
      : `${tokenLimit}, since a call takes about ${tokens} tokens; ${requestLimit} would allow more.`
  return `${calls} calls at once to ${where}. The limit that binds is ${binds}`
}
const amount = (n: number) => n.toLocaleString('en')

console.log(`${wrapped(headline())}\n`)
const results = [await sdkAlone(), await withLlmiter()]
printTable(results)
console.log(`\nWhat came of it with llmiter:\n${wrapped(results[1]!.summary ?? '')}`)
console.log(wrapped('\nWhat the limiter did, second by second: npx llmiter graph --open'))
