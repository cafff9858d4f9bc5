/** A provider over HTTP and the real SDK in front of it, both gone after each test. */
import OpenAI, { RateLimitError } from 'openai'
import { afterEach, expect } from 'vitest'
import {
  startHttpProvider,
  TokenBucketProvider,
  type HttpProvider,
  type HttpProviderOptions,
} from '../../src/testing/index.ts'

export const ample = () => new TokenBucketProvider({ requestsPerMinute: 6000, tokensPerMinute: 1_000_000 })
export const prompt = 'What is the capital of France, please?' // 38 characters, 10 tokens
export const messages = [{ role: 'user' as const, content: prompt }]
export const chat = { model: 'gpt-5', messages }

let running: HttpProvider | undefined

export async function start(options: Partial<HttpProviderOptions> = {}) {
  running = await startHttpProvider({ model: ample(), ...options })
  const openai = new OpenAI({ apiKey: 'test', baseURL: running.url, maxRetries: 0 })
  return { provider: running, openai }
}

afterEach(async () => {
  await running?.close()
  running = undefined
})

export async function caught(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it did not fail')
}

/** The refusal that a client gets; fails when it is no RateLimitError. */
export async function refusal(promise: PromiseLike<unknown>): Promise<RateLimitError> {
  const error = await caught(promise)
  expect(error).toBeInstanceOf(RateLimitError)
  return error as RateLimitError
}

export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition() && tries < 500; tries++)
    await new Promise((resolve) => setTimeout(resolve, 2))
  expect(condition()).toBe(true)
}
