// A program of a user's, for the compiler alone: what the types must allow, and what they must refuse.

import { BucketRateLimiter, type Clock, LimiterError, perModel, type Ticket, withLimiter } from 'llmiter'
import { TokenBucketProvider, VirtualClock } from 'llmiter/testing'

const clock: Clock = new VirtualClock()
export const gpt = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 500, clock })

const ask = withLimiter(async (prompt: string, words?: number) => ({ prompt, words }), gpt, {
  cost: (prompt) => ({ tokens: prompt.length }),
  usage: ({ prompt }) => ({ outputTokens: prompt.length }),
})
// @ts-expect-error arguments keep their types
void ask(1)
// @ts-expect-error limits have names
void new BucketRateLimiter({ name: 'gpt-5', requestPerMinute: 500 })

export async function main(signal: AbortSignal): Promise<number | undefined> {
  using ticket: Ticket = await gpt.acquire({ signal, maxWaitMs: '1m' })
  ticket.finish({ usage: { inputTokens: 1 } })
  const { words } = await ask('What is the capital of France?')
  const service = perModel({ 'gpt-5': { requestsPerMinute: 500 }, default: { requestsPerMinute: 60 } })
  const stream = withLimiter.stream(async function* (request: { model: string }) {
    yield request.model
  }, service)
  for await (const chunk of stream({ model: 'gpt-5' })) chunk.toUpperCase()
  gpt.on('gate', ({ state, limiter }) => [state satisfies 'open' | 'closed' | 'probing', limiter])
  try {
    await gpt.run(async (given: AbortSignal | undefined) => given?.aborted)
  } catch (error) {
    if (error instanceof LimiterError && error.code === 'WAIT_TIMEOUT') return undefined
  }
  return words
}

export const provider = new TokenBucketProvider({ requestsPerMinute: 60 })
