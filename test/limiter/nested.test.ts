// A call of a limiter within a call of the same limiter is one call to the provider, and takes one ticket.

import { afterEach, describe, expect, test } from 'vitest'
import { BucketRateLimiter, type LimiterOptions, withLimiter } from 'llmiter'
import { runAll } from 'llmiter/batch'
import { limitFetch } from 'llmiter/fetch'
import { context } from '../../src/lib/async-context.ts'
import { each, EMPTY, fate, leftovers, rateLimited, refusal, rig, steadyClock } from '../helpers.ts'

const wanted = () => ({ was: context.wanted, storage: context.storage })
const { was, storage } = wanted()
afterEach(() => Object.assign(context, { wanted: was, storage }))

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

/** A provider that takes 100 ms, and counts calls and concurrent calls. */
function provider(clock: ReturnType<typeof steadyClock>, errors: unknown[] = []) {
  const seen = { calls: 0, most: 0, now: 0 }
  const ask = async (input: number) => {
    seen.calls++
    seen.most = Math.max(seen.most, ++seen.now)
    await clock.sleep(100)
    seen.now--
    if (errors.length > 0) throw errors.shift()
    return { input, usage: { input_tokens: 10, output_tokens: 5 } }
  }
  const fetching = limitFetchOf(ask)
  return { seen, ask, fetching }
}

/** The same provider behind a `fetch`. */
const limitFetchOf =
  (ask: (input: number) => Promise<object>): typeof fetch =>
  async (_, init) => {
    try {
      const answer = await ask((JSON.parse(init!.body as string) as { input: number }).input)
      return Response.json(answer)
    } catch (error) {
      const { status = 500, headers = {} } = error as { status?: number; headers?: Record<string, string> }
      return Response.json({ error: { message: 'no' } }, { status, headers })
    }
  }

const body = (input: number) => ({ method: 'POST', body: JSON.stringify({ model: 'gpt-5', input }) })
const URL = 'https://api.example.com/v1/responses'

type Rig = ReturnType<typeof rig> & ReturnType<typeof provider>
type Ask = (input: number, signal?: AbortSignal) => Promise<unknown>

/** All ways to put a limiter around a call. `pause`: something else is awaited first. */
const inner: Record<string, (rig: Rig) => Ask> = {
  run:
    ({ limiter, ask }) =>
    (input) =>
      limiter.run(() => ask(input)),
  withLimiter: ({ limiter, ask }) => withLimiter(ask, limiter),
  fetch: ({ limiter, fetching }) => {
    const limited = limitFetch(fetching, limiter)
    return async (input) => (await limited(URL, body(input))).json()
  },
  acquire:
    ({ limiter, ask }) =>
    async (input) => {
      using ticket = await limiter.acquire()
      const answer = await ask(input)
      ticket.finish({ usage: { inputTokens: 10, outputTokens: 5 } })
      return answer
    },
}
const outer: Record<string, (rig: Rig, ask: Ask) => (inputs: number[]) => Promise<unknown[]>> = {
  run:
    ({ limiter }, ask) =>
    (inputs) =>
      Promise.all(inputs.map((input) => limiter.run(() => ask(input)))),
  withLimiter: ({ limiter }, ask) => {
    const wrapped = withLimiter((input: number) => ask(input), limiter)
    return (inputs) => Promise.all(inputs.map((input) => wrapped(input)))
  },
  runAll:
    ({ limiter }, ask) =>
    async (inputs) => {
      const results: unknown[] = []
      await each(
        runAll(inputs, (input) => ask(input), { limiter, ordered: true }),
        (result) => {
          if (!result.ok) throw result.error
          results.push(result.value)
        },
      )
      return results
    },
  'three layers': ({ limiter }, ask) => {
    const wrapped = withLimiter((input: number) => limiter.run(() => ask(input)), limiter)
    return (inputs) => Promise.all(inputs.map((input) => limiter.run(() => wrapped(input))))
  },
  stream: ({ limiter }, ask) => {
    const wrapped = withLimiter.stream(async function* (input: number) {
      yield 'thinking'
      yield await ask(input)
    }, limiter)
    return (inputs) =>
      Promise.all(
        inputs.map(async (input) => {
          let last: unknown
          await each(wrapped(input), (value) => (last = value))
          return last
        }),
      )
  },
}

const pairs = Object.keys(outer).flatMap((out) => Object.keys(inner).map((within) => [out, within] as const))

function stage(options: Partial<LimiterOptions> = {}, errors: unknown[] = []): Rig {
  const { clock, limiter } = rig({ maxConcurrent: 2, ...options })
  return { clock, limiter, ...provider(clock, errors) }
}

describe.each(pairs)('%s around %s', (out, within) => {
  test.each(['at once', 'after an await'])('one ticket a call, %s', async (when) => {
    context.wanted = false
    const rig = stage()
    const { clock, limiter, seen } = rig
    const ask = inner[within]!(rig)
    const results = outer[out]!(rig, async (input) => {
      if (when === 'after an await') await clock.sleep(1)
      return ask(input)
    })(upTo(40))
    await clock.runAll({ untilMs: 60_000 })
    expect((await results).map((answer) => (answer as { input: number }).input)).toEqual(upTo(40))
    expect([seen.calls, seen.most]).toEqual([40, 2])
    expect(limiter.stats()).toMatchObject({ requests: 40, issued: 40, finished: 40, failed: 0 })
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  })

  test('the usage that the inner call reads settles the outer ticket', async () => {
    const rig = stage({ limits: [{ of: 'tokens', amount: 1e6, per: '1d' }] })
    const results = outer[out]!(rig, inner[within]!(rig))(upTo(3))
    await rig.clock.runAll({ untilMs: 60_000 })
    await results
    expect(rig.limiter.stats().limits[0]).toMatchObject({ used: 45, available: 1e6 - 45 })
  })

  test.runIf(within !== 'acquire')('a refusal is waited out once, in one place', async () => {
    const rig = stage({}, [rateLimited(1000)])
    const { clock, limiter, seen } = rig
    const results = outer[out]!(rig, inner[within]!(rig))([1])
    await clock.runAll({ untilMs: 60_000 })
    await results
    expect(seen.calls).toBe(2)
    expect(limiter.stats()).toMatchObject({ requests: 1, issued: 2, refused: 1, finished: 1 })
  })

  test.runIf(within !== 'acquire')('retries do not multiply', async () => {
    const errors = upTo(20).map(() => refusal(500))
    const rig = stage({ retry: { attempts: 3 } }, errors)
    const end = fate(outer[out]!(rig, inner[within]!(rig))([1]))
    await rig.clock.runAll({ untilMs: 60_000 })
    expect(rig.seen.calls).toBe(3)
    if (within !== 'fetch') expect(end.now).toBe('error: HTTP 500')
    expect(leftovers(rig.limiter, rig.clock)).toEqual(EMPTY)
  })
})

describe('what the outer call said holds within', () => {
  test('its retries', async () => {
    const { clock, limiter, seen, ask } = stage({}, [refusal(500), refusal(500)])
    const call = limiter.run(() => limiter.run(() => ask(1)), { retry: { attempts: 3 } })
    await clock.runAll()
    await call
    expect(seen.calls).toBe(3)
  })

  test('that there are none, if the inner one says so', async () => {
    const { clock, limiter, seen, ask } = stage({ retry: {} }, [refusal(500)])
    const call = fate(limiter.run(() => limiter.run(() => ask(1), { retry: false })))
    await clock.runAll()
    expect([call.now, seen.calls]).toEqual(['error: HTTP 500', 1])
  })

  test('its maxWaitMs, while the refused call waits', async () => {
    const { clock, limiter, ask } = stage({}, [rateLimited(5000)])
    const call = fate(limiter.run(() => limiter.run(() => ask(1)), { maxWaitMs: 2000 }))
    await clock.advance(2500)
    expect(call.now).toMatch(/maxWaitMs/)
    await clock.runAll()
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  })

  test('its signal, while the refused call waits in line', async () => {
    const { clock, limiter, ask } = stage({}, [rateLimited(50_000)])
    const controller = new AbortController()
    const call = fate(limiter.run(() => limiter.run(() => ask(1)), { signal: controller.signal }))
    await clock.advance(1000)
    controller.abort(new Error('enough'))
    await clock.advance(0)
    expect(call.now).toBe('error: enough')
    await clock.runAll()
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  })

  test('its signal, whatever the inner call listens to', async () => {
    const { clock, limiter } = stage()
    const controller = new AbortController()
    const other = new AbortController()
    const work = () => limiter.run(() => new Promise(() => {}), { signal: other.signal })
    const call = fate(limiter.run(work, { signal: controller.signal }))
    await clock.advance(1000)
    controller.abort(new Error('enough'))
    await clock.advance(0)
    expect(call.now).toBe('error: enough')
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  })

  test('its timeout, for each try: the wait in line is no part of it', async () => {
    const { clock, limiter, ask, seen } = stage({ timeoutMs: '2s' }, [rateLimited(30_000)])
    const call = fate(limiter.run(() => limiter.run(() => ask(1))))
    const hangs = fate(limiter.run(() => limiter.run(() => new Promise(() => {}))))
    await clock.runAll()
    expect([call.now, seen.calls]).toEqual(['ok: [object Object]', 2])
    expect(hangs.now).toMatch(/timeoutMs/)
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  })

  test('its price, where the inner call knows none; else the inner one’s is exact', async () => {
    const limits = [{ of: 'tokens', amount: 10_000, per: '1d', settle: 'reserve' } as const]
    const { clock, limiter } = stage({ limits })
    const left = () => limiter.stats().limits[0]!.available
    const said = limiter.run(() => limiter.run(() => clock.sleep(1)), { cost: { tokens: 700 } })
    await clock.runAll()
    await said
    expect(left()).toBe(9300)
    const known = limiter.run(() => limiter.run(() => clock.sleep(1), { cost: { tokens: 4000 } }))
    await clock.advance(0)
    expect(left()).toBe(5300)
    await clock.runAll()
    await known
    expect(left()).toBe(5300)
  })
})

describe('what is another call takes its own ticket', () => {
  test('the second one within', async () => {
    const rig = stage()
    const { clock, limiter, seen } = rig
    const ask = withLimiter(rig.ask, limiter)
    const twice = withLimiter(async (input: number) => {
      await ask(input)
      return ask(input)
    }, limiter)
    const both = withLimiter((input: number) => Promise.all([ask(input), ask(input)]), limiter)
    const all = Promise.all([
      ...upTo(20).map((input) => twice(input)),
      ...upTo(20).map((input) => both(input)),
    ])
    await clock.runAll({ untilMs: 60_000 })
    await all
    expect([seen.calls, seen.most, limiter.stats().issued]).toEqual([80, 2, 80])
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  })

  test('a wrapped function that calls itself', async () => {
    const { clock, limiter, ask } = stage()
    const deep: Ask = withLimiter(async (input: number): Promise<unknown> => {
      await ask(input)
      return input > 0 ? deep(input - 1) : 'done'
    }, limiter)
    const result = deep(1)
    await clock.runAll()
    expect([await result, limiter.stats().issued]).toEqual(['done', 2])
  })

  test('another limiter, and what comes back to the first one through it', async () => {
    const { clock, limiter, ask } = stage()
    const other = new BucketRateLimiter({ name: 'other', maxConcurrent: 2, clock })
    const all = Promise.all(
      upTo(40).map((input) => limiter.run(() => other.run(() => limiter.run(() => ask(input))))),
    )
    await clock.runAll({ untilMs: 60_000 })
    await all
    expect([limiter.stats().issued, other.stats().issued]).toEqual([40, 40])
  })

  test('a call that was begun within, and comes when that one is over', async () => {
    const { clock, limiter, ask } = stage()
    let later: Promise<unknown> | undefined
    const first = limiter.run(async () => {
      later = clock.sleep(1000).then(() => limiter.run(() => ask(1)))
      await ask(0)
    })
    await clock.runAll()
    await Promise.all([first, later])
    expect(limiter.stats()).toMatchObject({ issued: 2, finished: 2 })
  })

  test('does not wait for an inner call that nobody awaits', async () => {
    const { clock, limiter, ask } = stage()
    const call = fate(limiter.run(() => void limiter.run(() => ask(1))))
    await clock.advance(0)
    expect([call.now, limiter.stats().inFlight]).toEqual(['ok: undefined', 1])
    await clock.runAll()
    expect(limiter.stats()).toMatchObject({ issued: 1, finished: 1 })
  })
})

describe('in a tree of limiters', () => {
  const tree = () => {
    const clock = steadyClock()
    const account = new BucketRateLimiter({ name: 'account', maxConcurrent: 2, ramp: false, clock })
    const model = new BucketRateLimiter({ name: 'model', parent: account, requestsPerDay: 100, ramp: false })
    return { clock, account, model, ...provider(clock) }
  }

  test.each(['account around model', 'model around account'])(
    '%s: each counts the call once',
    async (way) => {
      const { clock, account, model, ask, seen } = tree()
      const [out, within] = way.startsWith('account') ? [account, model] : [model, account]
      const all = Promise.all(upTo(40).map((input) => out.run(() => within.run(() => ask(input)))))
      await clock.runAll({ untilMs: 60_000 })
      await all
      expect([seen.calls, seen.most]).toEqual([40, 2])
      expect(model.stats().limits[0]).toMatchObject({ of: 'requests', available: 60 })
      expect(account.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
    },
  )
})

describe('where awaits cannot be followed', () => {
  test('the signal that a function is given stands for its call', async () => {
    Object.assign(context, { storage: null, wanted: true })
    const rig = stage()
    const { clock, limiter, seen, ask, fetching } = rig
    const limited = limitFetch(fetching, limiter)
    const wrapped = withLimiter((input: number, _: AbortSignal | undefined) => ask(input), limiter, {
      signal: (_, signal) => signal,
    })
    const all = Promise.all(
      upTo(10).flatMap((input) => [
        limiter.run(async (signal) => {
          await clock.sleep(1)
          return limiter.run(() => ask(input), { signal })
        }),
        limiter.run(async (signal) => {
          await clock.sleep(1)
          return (await limited(URL, { ...body(input), signal: signal! })).json()
        }),
        limiter.run(async (signal) => {
          await clock.sleep(1)
          return wrapped(input, signal)
        }),
      ]),
    )
    await clock.runAll({ untilMs: 60_000 })
    await all
    expect([seen.calls, limiter.stats().issued]).toEqual([30, 30])
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  })

  test('without a signal, until the first await', async () => {
    Object.assign(context, { storage: null, wanted: true })
    const { clock, limiter, ask } = stage()
    const all = Promise.all(upTo(10).map((input) => limiter.run(() => limiter.run(() => ask(input)))))
    await clock.runAll({ untilMs: 60_000 })
    await all
    expect(limiter.stats().issued).toBe(10)
  })
})

test('without nested calls the tracking is switched off', async () => {
  context.wanted = false
  const { clock, limiter } = rig()
  const inside = () => context.storage?.getStore()
  const followed = async () => {
    let seen: unknown
    const call = limiter.run(async () => {
      await Promise.resolve()
      seen = inside()
    })
    await clock.runAll()
    await call
    return seen !== undefined
  }
  expect(await followed()).toBe(true)
  await Promise.all(upTo(1000).map(() => limiter.run(() => 1)))
  expect(await followed()).toBe(false)
  // With two ways to the same limiter, one may be nested in the other.
  await withLimiter(() => 1, limiter)()
  expect(await followed()).toBe(true)
})
