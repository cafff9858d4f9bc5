/**
 * `npm run example examples/two-providers.ts`: two providers behind one queue. The second one is used when the
 * first one would take too long, or is down.
 *
 * It needs no key: both are servers on this machine, and the first one fails during the run.
 */
import OpenAI from 'openai'
import { BucketRateLimiter } from 'llmiter'
import { createPool } from 'llmiter/pool'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const CALLS = 40
let broken = false

const first = await startHttpProvider({
  model: new TokenBucketProvider({ requestsPerMinute: 6000 }),
  chaos: () => (broken ? { kind: 'fails', status: 500 } : undefined),
})
const second = await startHttpProvider({ model: new TokenBucketProvider({ requestsPerMinute: 6000 }) })

const target = (name: string, url: string, tier: number) => ({
  name,
  tier,
  limiter: new BucketRateLimiter({ name, requestsPerMinute: 6000, burst: 1 }),
  // A failed call goes to the other provider, so the SDK must not retry on its own.
  client: new OpenAI({ apiKey: 'any', baseURL: url, maxRetries: 0 }),
})
const pool = createPool({
  targets: [target('first', first.url, 1), target('second', second.url, 2)],
  waitUpTo: '5s', // how long a call waits for the first one
})

const answered: Record<string, number> = { first: 0, second: 0 }
const ask = (input: string) =>
  pool.run(async ({ client, name }, signal) => {
    const answer = await client.responses.create({ model: 'gpt-5', input }, { signal })
    answered[name]!++
    return answer.output_text
  })

for (let i = 0; i < CALLS; i++) {
  if (i === CALLS / 2) broken = true
  await ask(`What is ${i} plus ${i}?`)
}
console.log(
  `${CALLS} calls, all answered: ${answered['first']} by the first, ${answered['second']} by the second provider`,
)
pool.stop()
await Promise.all([first.close(), second.close()])
