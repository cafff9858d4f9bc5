/** The provider of the calls: a server on this machine that refuses as real providers do, or the real API. */
import type { ClientOptions } from 'openai'
import { seededRandom, startHttpProvider, TokenBucketProvider } from 'llmiter/testing'
import type { Settings } from './settings.ts'

export interface Provider {
  /** The SDK options to reach it. */
  client: ClientOptions
  /** How many calls it has refused so far. */
  refused(): number
  close(): Promise<void>
}

export async function openProvider(settings: Settings): Promise<Provider> {
  return settings.liveKey === undefined ? local(settings) : live(settings.liveKey)
}

/**
 * Like many providers, it advertises a limit per minute but enforces it per second: 1200 per minute are 20 at once
 * and then 20 per second.
 */
async function local({ requestsPerMinute, tokensPerMinute }: Settings): Promise<Provider> {
  const random = seededRandom(1)
  const server = await startHttpProvider({
    model: new TokenBucketProvider({
      requestsPerMinute,
      tokensPerMinute,
      capacityMs: 1000,
      retryAfter: 'seconds',
    }),
    latencyMs: () => 200 + 400 * random(),
  })
  return {
    client: { apiKey: 'any', baseURL: server.url },
    refused: () => server.requests.refused,
    close: () => server.close(),
  }
}

/** The real API has no counter of refusals, so each answer is checked. */
function live(apiKey: string): Provider {
  let refused = 0
  const countingFetch: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    if (response.status === 429 || response.status === 503) refused++
    return response
  }
  return { client: { apiKey, fetch: countingFetch }, refused: () => refused, close: async () => {} }
}
