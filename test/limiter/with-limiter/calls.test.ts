// The wrapped function behaves like the original: results, errors, `this`, types, returned refusals.

import { expect, expectTypeOf, test } from 'vitest'
import { type BucketRateLimiter, QuotaExhaustedError, withLimiter } from 'llmiter'
import { departures, EMPTY, fate, leftovers, outOfQuota, rateLimited, refusal, rig } from '../../helpers.ts'

test('sync and async functions: always a promise of what they give', async () => {
  const { limiter } = rig()
  const add = withLimiter((a: number, b: number) => a + b, limiter)
  const greet = withLimiter(async (name: string, mark = '!') => `Hello, ${name}${mark}`, limiter)
  expect([await add(1, 2), await greet('Ann'), await greet('Bob', '?')]).toEqual([
    3,
    'Hello, Ann!',
    'Hello, Bob?',
  ])
  expectTypeOf(add).toEqualTypeOf<(this: unknown, a: number, b: number) => Promise<number>>()
  expectTypeOf(greet('Ann')).toEqualTypeOf<Promise<string>>()
  const typed: (name: string, mark?: string) => Promise<string> = greet
  // @ts-expect-error a name is a string
  expect(await typed(5)).toBe('Hello, 5!')
  expect(greet.name).toBe(withLimiter(greet, limiter).name)
})

test('whatever is returned comes through: nothing, falsy values, thenables, functions', async () => {
  const { clock, limiter } = rig()
  const fn = () => 'inner'
  for (const value of [
    undefined,
    null,
    0,
    '',
    false,
    NaN,
    Symbol.iterator,
    fn,
    new Map(),
    Object.create(null) as object,
  ]) {
    expect(await withLimiter(() => value, limiter)()).toBe(value)
    expect(await withLimiter(async () => value, limiter)()).toBe(value)
  }
  const thenable = { then: (resolve: (value: string) => void) => resolve('then') }
  expect(await withLimiter(() => thenable, limiter)()).toBe('then')
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('this is passed on, also when the call has waited', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  class Client {
    key = 'secret'
    ask = withLimiter(function (this: Client, prompt: string) {
      return `${this.key}: ${prompt}`
    }, limiter)
  }
  const client = new Client()
  const answers = Promise.all([client.ask('a'), client.ask('b')])
  await clock.runAll()
  expect(await answers).toEqual(['secret: a', 'secret: b'])
})

test('a function that throws at once rejects, and the ticket is back', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const error = new Error('mine')
  const broken = withLimiter((): string => {
    throw error
  }, limiter)
  for (let i = 0; i < 3; i++) await expect(broken()).rejects.toBe(error)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a result whose getters throw, or that cannot be looked at, is given as it is', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 1_000_000_000 })
  const hostile = new Proxy(
    {},
    {
      get: (_, key) =>
        key === 'then'
          ? undefined
          : (() => {
              throw new Error('boo')
            })(),
    },
  )
  const { proxy, revoke } = Proxy.revocable({ then: undefined }, {})
  expect(await limiter.run(() => hostile)).toBe(hostile)
  revoke()
  // As with `await`, where reading `then` throws.
  await expect(limiter.run(() => proxy)).rejects.toThrow(TypeError)
  await expect(
    limiter.run(() => ({
      get then() {
        throw new Error('no then')
      },
    })),
  ).rejects.toThrow('no then')
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a returned Response with status 429 is a refusal: the call waits and runs again', async () => {
  const { clock, limiter } = rig()
  const responses = [
    new Response('{}', { status: 429, headers: { 'retry-after': '7' } }),
    new Response('{"answer":42}', { status: 200 }),
  ]
  const request = withLimiter(async () => responses.shift()!, limiter)
  const response = fate(
    request().then(async (answer) => `${answer.status} ${await answer.text()} at ${clock.now()}`),
  )
  for (let i = 0; i < 20; i++) await clock.advance(1000)
  expect(response.now).toBe('ok: 200 {"answer":42} at 7000')
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a returned Response that says insufficient_quota is given back, readable, and later calls fail fast', async () => {
  const { clock, limiter } = rig()
  const body = JSON.stringify({
    error: {
      message: 'You exceeded your current quota',
      type: 'insufficient_quota',
      code: 'insufficient_quota',
    },
  })
  let sent = 0
  const request = withLimiter(async () => (sent++, new Response(body, { status: 429 })), limiter)
  const response = await request()
  expect([response.status, await response.text(), sent]).toEqual([429, body, 1])
  await expect(request()).rejects.toThrow(QuotaExhaustedError)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a body that never ends does not hold a refusal up', async () => {
  const { clock, limiter } = rig()
  let sent = 0
  const request = withLimiter(
    async () => (sent++ === 0 ? new Response(new ReadableStream(), { status: 429 }) : new Response('in')),
    limiter,
  )
  const response = fate(request())
  for (let i = 0; i < 40; i++) await clock.advance(250)
  expect(response.now).toContain('ok')
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('options: cost, tenant, priority and signal are taken from the arguments', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1, tokensPerMinute: 1_000_000 })
  const order: string[] = []
  const seen: unknown[] = []
  const ask = withLimiter(
    (job: { user: string; signal?: AbortSignal }) => void order.push(job.user),
    limiter,
    {
      cost: (job) => (seen.push(job.user), { tokens: 10 }),
      tenant: (job) => job.user,
      signal: (job) => job.signal,
      maxWaitMs: '1m',
    },
  )
  const controller = new AbortController()
  const calls = ['a', 'a', 'a', 'b'].map((user) => fate(ask({ user })))
  const given = fate(ask({ user: 'c', signal: controller.signal }))
  await clock.advance(10)
  controller.abort(new Error('given up'))
  await clock.runAll()
  expect(calls.map(({ now }) => now.slice(0, 2))).toEqual(Array(4).fill('ok'))
  expect(given.now).toBe('error: given up')
  expect(order).toEqual(['a', 'a', 'b', 'a'])
  expect(seen).toEqual(['a', 'a', 'a', 'b', 'c'])
})

test('options of a limiter in place of a limiter make one for this function alone', async () => {
  const ask = withLimiter(() => 'in', { requestsPerMinute: 1, maxWaitMs: 0 })
  const other = withLimiter(() => 'in', { requestsPerMinute: 1, maxWaitMs: 0 })
  expect(await ask()).toBe('in')
  expect(await other()).toBe('in')
  await expect(ask()).rejects.toThrow('maxWaitMs')
})

test('update() of the limiter holds for wrapped functions too', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 1 })
  const ask = withLimiter(() => 'in', limiter)
  await ask()
  limiter.update({ maxWaitMs: 100 })
  const late = fate(ask())
  await clock.advance(100)
  expect(late.now).toContain('maxWaitMs')
})

test('classify decides over the built-in reading, for thrown and returned values', async () => {
  const { clock, limiter } = rig()
  let sent = 0
  const call = withLimiter(() => ({ busy: sent++ === 0 }), limiter, {
    classify: (outcome) =>
      'value' in outcome && (outcome.value as { busy: boolean }).busy
        ? { kind: 'rate', waitMs: 3000, reason: 'busy' }
        : undefined,
  })
  const first = fate(call().then(() => clock.now()))
  await clock.runAll()
  expect(first.now).toBe('ok: 3000')
  const ignoring = withLimiter(() => Promise.reject(rateLimited()), limiter, { classify: () => 'ok' })
  await expect(ignoring()).rejects.toThrow('HTTP 429')
})

const odd: [string, () => unknown][] = [
  ['a promise', () => Promise.resolve(undefined)],
  ['an unknown word', () => 'banana'],
  ['an empty object', () => ({})],
  ['a number', () => 5],
  ['true', () => true],
  [
    'a throw',
    () => {
      throw new Error('classify is broken')
    },
  ],
]
test.each(odd)(
  'classify that gives %s is reported, and the limiter reads the answer itself',
  async (_, classify) => {
    const { clock, limiter } = rig({ classify: classify as never })
    const errors: string[] = []
    limiter.on('error', ({ where }) => errors.push(where))
    let sent = 0
    const answer = new String('good')
    const good = fate(limiter.run(() => answer))
    const refused = fate(limiter.run(() => (sent++ === 0 ? Promise.reject(rateLimited(100)) : answer)))
    await clock.runAll({ untilMs: 50_000 })
    expect([good.now, refused.now]).toEqual(['ok: good', 'ok: good'])
    expect(new Set(errors)).toEqual(new Set(['classify']))
  },
)

test('cost, usage and tenant that throw never leave a ticket behind', async () => {
  const boom = () => {
    throw new Error('boom')
  }
  for (const option of ['cost', 'usage', 'tenant', 'signal', 'model']) {
    const { clock, limiter } = rig({ tokensPerMinute: 1000, maxConcurrent: 1 })
    const errors: string[] = []
    limiter.on('error', ({ where }) => errors.push(where))
    const ask = withLimiter(() => ({ usage: { total_tokens: 5 } }), limiter, { [option]: boom })
    const call = fate(ask())
    await clock.runAll()
    if (option === 'usage') expect([call.now.slice(0, 2), errors]).toEqual(['ok', ['usage']])
    else expect(call.now).toMatch(/boom|ok/)
    expect(leftovers(limiter, clock), option).toEqual(EMPTY)
  }
})

test('an error that is no refusal passes through retries as the same object', async () => {
  const { clock, limiter } = rig({ retry: { attempts: 3, jitter: 0 } })
  const errors = [refusal(500), refusal(502), refusal(500)]
  const times = departures(limiter, clock)
  let sent = 0
  const call = fate(withLimiter(() => Promise.reject(errors[sent++]), limiter)())
  await clock.runAll()
  expect(call.error).toBe(errors[2])
  expect(times).toEqual([0, 500, 1500])
})

test('quota after a trial, from a wrapped function', async () => {
  const { limiter }: { limiter: BucketRateLimiter } = rig()
  const error = outOfQuota()
  await expect(withLimiter(() => Promise.reject(error), limiter)()).rejects.toBe(error)
})
