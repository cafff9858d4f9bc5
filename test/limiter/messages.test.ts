// The error for an unknown name suggests the name that was probably meant, before the list of known ones.

import { describe, expect, test } from 'vitest'
import { BucketRateLimiter, LimiterError, perModel, QuotaExhaustedError, shared, withLimiter } from 'llmiter'
import { rig } from '../helpers.ts'

const quick = (options: object) => new BucketRateLimiter({ name: 'gpt', ...options } as never)

function messageOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return (error as Error).message
  }
  throw new Error('nothing was thrown')
}

describe('did you mean', () => {
  const { limiter } = rig({ tokensPerMinute: 1000 })
  const rows: [string, () => unknown, meant: string][] = [
    [
      'rpm',
      () => quick({ rpm: 500 }),
      "BucketRateLimiter has no option 'rpm' (did you mean 'requestsPerMinute'?)",
    ],
    ['tpm', () => quick({ tpm: 500 }), "'tokensPerMinute'"],
    ['concurrency', () => quick({ concurrency: 5 }), "'maxConcurrent'"],
    ['maxRetries', () => quick({ maxRetries: 5 }), 'retry: { attempts: 3 }'],
    ['update', () => limiter.update({ requestPerMinute: 5 } as never), "'requestsPerMinute'"],
    ['a service', () => perModel({ a: { rpm: 5 } as never }), "limits of the model 'a'"],
    ['shared', () => shared({ name: 'a', rpd: 5 } as never), "'requestsPerDay'"],
    ['limits', () => quick({ limits: [{ of: 'requests', max: 5, per: '1s' }] }), "'amount'"],
    ['limits', () => quick({ limits: [{ of: 'requests', amount: 5, interval: '1s' }] }), "'per'"],
    ['a dimension', () => quick({ limits: [{ of: 'request', amount: 5, per: '1s' }] }), "'requests'"],
    ['a dimension', () => quick({ limits: [{ of: 'input_tokens', amount: 5, per: '1s' }] }), "'inputTokens'"],
    [
      'a dimension',
      () => quick({ limits: [{ of: 'prompt_tokens', amount: 5, per: '1s' }] }),
      "'inputTokens'",
    ],
    ['a dimension', () => quick({ limits: [{ of: 'Tokens', amount: 5, per: '1s' }] }), "'tokens'"],
    ['a dimension of a cost', () => limiter.tryAcquire({ cost: { token: 5 } }), "'tokens'"],
    [
      'an event',
      () => limiter.on('refused' as never, () => {}),
      "there is no event 'refused' (did you mean 'refuse'?)",
    ],
    ['an event', () => limiter.on('done' as never, () => {}), "'finish'"],
    ['a choice', () => quick({ requestsPerMinute: 5, pacing: 'eagre' }), "'eager'"],
    ['a call', () => limiter.tryAcquire({ abortSignal: undefined } as never), "'signal'"],
    ['a retry', () => limiter.tryAcquire({ retry: { retries: 5 } } as never), "'attempts'"],
    ['wrapping', () => withLimiter(() => 1, limiter, { timeout: 5 } as never), "'timeoutMs'"],
    ['a model', () => perModel({ 'gpt-5': { limits: [] } }).limiterFor('gpt5'), "'gpt-5'"],
  ]
  test.each(rows)('%s (%#)', (_, act, meant) => {
    const message = messageOf(act)
    expect(message).toContain(meant)
    expect(message).toMatch(/\(did you mean .*\?\); known: |limits of the model/)
  })

  test('a dimension of your own stays your own', () => {
    for (const of of ['images', 'tokensCached', 'imageTokens', 'euros', 'callers', 'requestBytes'])
      expect(() => quick({ limits: [{ of, amount: 5, per: '1m' }] })).not.toThrow()
  })
})

test.each([
  ['500', "requestsPerMinute must be a number above 0, got the string '500'"],
  [NaN, 'requestsPerMinute must be a number above 0, got NaN (is an environment variable unset?)'],
  [Number(undefined), 'is an environment variable unset?'],
  [0, 'requestsPerMinute must be a number above 0, got 0'],
])('a rate of %j', (requestsPerMinute, words) => {
  expect(messageOf(() => quick({ requestsPerMinute }))).toContain(words)
})

describe('arguments in another order', () => {
  const { limiter } = rig({ requestsPerMinute: 60 })
  test('run(fn, signal)', async () => {
    const { signal } = new AbortController()
    await expect(limiter.run(() => 1, signal as never)).rejects.toThrow('(did you mean { signal }?)')
    await expect(limiter.acquire(signal as never)).rejects.toThrow('(did you mean { signal }?)')
    const controller = new AbortController() as unknown as AbortSignal
    await expect(limiter.run(() => 1, { signal: controller })).rejects.toThrow('(did you mean its .signal?)')
  })

  test('run(options, fn), withLimiter(limiter, fn)', async () => {
    await expect(limiter.run({ priority: 1 } as never, (() => 1) as never)).rejects.toThrow('swapped')
    expect(messageOf(() => withLimiter(limiter as never, (() => 1) as never))).toContain('swapped')
    expect(messageOf(() => withLimiter.stream(limiter as never, (() => 1) as never))).toContain('swapped')
  })

  test('options in the place of models, models in the place of options', () => {
    expect(messageOf(() => perModel({ requestsPerMinute: 500 } as never))).toContain(
      "got 500 (did you mean { 'gpt-5': { requestsPerMinute } }? One limiter for all models: shared())",
    )
    expect(messageOf(() => perModel({ rpm: 500 } as never))).toContain("{ 'gpt-5': { requestsPerMinute } }")
    expect(messageOf(() => quick({ 'gpt-5': { requestsPerMinute: 500 } }))).toContain(
      "has no option 'gpt-5'; limits by model: perModel({ 'gpt-5': { … } })",
    )
  })

  test('an instance in the place of options', () => {
    class Redis {
      host = 'localhost'
    }
    expect(messageOf(() => new BucketRateLimiter(new Redis() as never))).toContain(
      '(it is an instance of Redis: are the arguments in the right order?)',
    )
    expect(messageOf(() => new BucketRateLimiter([] as never))).toContain('got an array of 0')
  })
})

describe('a method without its object', () => {
  class Completions {
    #client = { post: (body: string) => body.length }
    create(body: string) {
      return this.#client.post(body)
    }
    async later(body: string) {
      await Promise.resolve()
      return this.create(body)
    }
    async *words(body: string) {
      yield await this.later(body)
    }
    bound = (body: string) => this.create(body)
    broken = async (body: string): Promise<number> => {
      await Promise.resolve()
      return (undefined as unknown as string[])[body.length]!.length
    }
    static free(body: string) {
      if (body === 'bad') throw new TypeError('a bad body')
      return body.length
    }
  }
  const completions = new Completions()

  test('says which, and how to keep it', async () => {
    const { limiter } = rig({ limits: [] })
    for (const method of ['create', 'later'] as const) {
      const ask = withLimiter(completions[method] as (body: string) => unknown, limiter)
      const error = await ask('hello').catch((thrown: unknown) => thrown as TypeError & { cause: unknown })
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toContain(
        `'${method}' is a method and was called without its object: wrap (...args) => object.${method}(...args)`,
      )
      expect((error as Error).cause).toBeInstanceOf(TypeError)
    }

    const words = withLimiter.stream(completions.words, limiter)
    await expect(words('hello').next()).rejects.toThrow(
      "'words' is a method and was called without its object",
    )
  })

  test('with its object, bound, or without a need of it, an error is its own', async () => {
    const { limiter } = rig({ limits: [] })
    const object = { ask: withLimiter(Completions.prototype.create, limiter) }
    await expect(object.ask.call(completions, 'hello')).resolves.toBe(5)
    await expect(withLimiter(completions.bound, limiter)('hello')).resolves.toBe(5)
    await expect(withLimiter(completions.create.bind(completions), limiter)('hello')).resolves.toBe(5)
    await expect(withLimiter(completions.broken, limiter)('hello')).rejects.toThrow(/^Cannot read properties/)

    await expect(withLimiter(Completions.free, limiter)('bad')).rejects.toThrow(/^a bad body$/)
  })
})

describe('errors of the limiter say what can be done', () => {
  test('a ticket that was given back already', async () => {
    const { limiter } = rig({ requestsPerMinute: 60 })
    const ticket = await limiter.acquire()
    ticket.finish()
    const error = await ticket.refuse(new Error('429')).catch((thrown: unknown) => thrown as LimiterError)
    expect(error).toBeInstanceOf(LimiterError)
    expect(error).toMatchObject({ name: 'TicketOverError', code: 'TICKET_OVER' })
    expect((error as Error).message).toMatch(/^'test': this ticket was already returned: .*again\(\)$/)
  })

  test('a call that can never fit names the window', async () => {
    const { limiter } = rig({ tokensPerMinute: 1000 })
    await expect(limiter.run(() => 1, { cost: { tokens: 5000 } })).rejects.toThrow(
      "'test': a call of 5000 tokens can never fit a limit of 1000 tokens in 60 s: shorten the prompt or lower max_tokens, or raise the limit if the provider allows more",
    )
    const daily = rig({ limits: [{ of: 'images', amount: 3, per: { calendar: 'day' } }] }).limiter
    await expect(daily.run(() => 1, { cost: { images: 5 } })).rejects.toThrow(
      '3 images in a day: split the call',
    )
  })

  test('a used up quota says what the provider said', async () => {
    const { limiter } = rig({ requestsPerMinute: 60 })
    const refused = Object.assign(
      new Error('You exceeded your current quota, please check your plan and billing details.'),
      { status: 429, code: 'insufficient_quota' },
    )
    await expect(limiter.run(() => Promise.reject(refused))).rejects.toBe(refused)
    const error = await limiter.run(() => 1).catch((thrown: unknown) => thrown as QuotaExhaustedError)
    expect(error).toBeInstanceOf(QuotaExhaustedError)
    expect((error as Error).message).toContain('You exceeded your current quota, please check your plan')
  })
})
