// The limiter for wrapped functions without one. It is stored on `globalThis`, so that the ESM and CJS copies of
// the package share it.

import { headersOf } from '../responses/headers.ts'
import { get } from '../responses/safe-access.ts'
import { BucketRateLimiter, runtimeOf } from './bucket-rate-limiter.ts'
import type { LimiterOptions } from './options.ts'

const KEY = Symbol.for('llmiter.default')
type Global = typeof globalThis & { [KEY]?: BucketRateLimiter }

/**
 * Recognises the provider of an answer, by the start of its model's name or by a header that only this provider
 * sends.
 */
const PROVIDERS = [
  ['OpenAI', /^(gpt|chatgpt|o\d)/, 'openai-version'],
  ['Anthropic', /^claude/, 'anthropic-organization-id'],
  ['Google', /^gemini/, 'x-gemini-service-tier'],
  ['Mistral', /^(open-)?(mi[sx]tral|ministral|magistral|codestral|pixtral)/, 'x-mistral-correlation-id'],
] as const

export function defaultLimiter(): BucketRateLimiter {
  return ((globalThis as Global)[KEY] ??= make())
}

function make(): BucketRateLimiter {
  const limiter = new BucketRateLimiter({ name: 'default', requestsPerMinute: 300 })
  const runtime = runtimeOf(limiter, 'the default limiter')
  let first: string | undefined
  runtime.seen = (answer) => {
    const provider = providerOf(answer)
    first ??= provider
    if (!provider || provider === first) return
    runtime.seen = undefined
    console.warn(
      `llmiter: calls to ${first} and to ${provider} share the default limiter, so a refusal by one also stops calls to the other. ` +
        'Give each its own limiter: withLimiter(fn, new BucketRateLimiter({ name, requestsPerMinute })).',
    )
  }
  return limiter
}

function providerOf(answer: unknown): string | undefined {
  const model = get(answer, 'model') ?? get(answer, 'modelVersion')
  const name = typeof model === 'string' ? model : ''
  const headers = headersOf(answer)
  return PROVIDERS.find(([, models, header]) => models.test(name) || headers?.get(header))?.[0]
}

/**
 * Sets the options of the limiter that all functions wrapped without a limiter share. Without other limits it
 * allows 300 requests per minute. Waiting calls follow the new options. Returns the limiter.
 */
export function configureDefaultLimiter(
  options: Partial<Omit<LimiterOptions, 'name' | 'parent' | 'clock' | 'health' | 'store'>> = {},
): BucketRateLimiter {
  const limiter = defaultLimiter()
  limiter.update(options)
  return limiter
}
