// A guard on a store that processes share, in virtual time: what it does when the store is slow, gone, and back.

import { describe, expect, test } from 'vitest'
import type { GuardAnswer, GuardStore } from 'llmiter'
import { guard, type GuardEvent, type GuardOptions } from 'llmiter/inbound'
import { VirtualClock } from 'llmiter/testing'
import { Table } from '../../src/inbound/memory-counter.ts'

/** A store for several guards, with the law of one process, that can go away in two ways. */
function storeOn(clock: VirtualClock) {
  let table: Table | undefined
  const store = {
    calls: 0,
    state: 'up' as 'up' | 'silent' | 'refusing',
    async take({ limits, name, key }) {
      store.calls++
      if (store.state === 'silent') return new Promise<GuardAnswer>(() => {})
      if (store.state === 'refusing') throw new Error('ECONNREFUSED')
      table ??= new Table(limits, 1000)
      return table.take(`${name} ${key}`, clock.now()) as GuardAnswer
    },
  } satisfies GuardStore & { calls: number; state: string }
  return store
}

function rig(options: Partial<GuardOptions> = {}) {
  const clock = new VirtualClock()
  const store = storeOn(clock)
  const news: string[] = []
  const join = (name = 'chat') => {
    const limiter = guard({ limit: '3 per 60s', name, store, clock, ...options })
    limiter.on('store', ({ state, error }: GuardEvent<'store'>) =>
      news.push(`${clock.now()} ${state}${error ? `: ${(error as Error).message}` : ''}`),
    )
    return limiter
  }
  return { clock, store, news, join }
}

/** What became of `ask`, and after how long, with the clock moved for it. */
async function ask(clock: VirtualClock, limiter: ReturnType<typeof guard>, key = 'ann') {
  const from = clock.now()
  let done: string | undefined
  void limiter.check(key).then(({ allowed, reason }) => {
    done = `${allowed ? 'in' : reason} after ${clock.now() - from}`
  })
  await clock.advance(0)
  while (done === undefined) await clock.advance(1)
  return done
}

describe('guards of one name', () => {
  test('share their counts; others do not', async () => {
    const { clock, join } = rig()
    const [a, b, other] = [join(), join(), join('images')]
    const story = []
    for (const limiter of [a, b, a, b, a, other]) story.push(await ask(clock, limiter))
    expect(story).toEqual([
      'in after 0',
      'in after 0',
      'in after 0',
      'limit after 0',
      'limit after 0',
      'in after 0',
    ])
  })

  test('ask the store once about a refused client, until there is room', async () => {
    const { clock, store, join } = rig()
    const limiter = join()
    for (let i = 0; i < 3; i++) {
      await limiter.check('ann')
      await clock.advance(1000)
    }
    for (let i = 0; i < 100; i++) {
      expect(await limiter.check('ann')).toMatchObject({
        allowed: false,
        retryAfterMs: 57_000 - 100 * i,
        limits: [{ remaining: 0, resetMs: 57_000 - 100 * i }],
      })
      await clock.advance(100)
    }
    expect(store.calls).toBe(4)
    await clock.advanceTo(60_000)
    expect(await ask(clock, limiter)).toBe('in after 0')
    expect(await ask(clock, limiter)).toBe('limit after 0')
  })
})

describe('a store that is down', () => {
  test.each([
    ['local', ['in after 200', 'in after 0', 'in after 0', 'limit after 0']],
    ['open', ['in after 200', 'in after 0', 'in after 0', 'in after 0']],
    ['closed', ['store after 200', 'store after 0', 'store after 0', 'store after 0']],
  ] as const)('costs one timeout, and then: %s', async (onStoreDown, expected) => {
    const { clock, store, news, join } = rig({ onStoreDown, storeTimeoutMs: '200ms' })
    const limiter = join()
    store.state = 'silent'
    const story = []
    for (let i = 0; i < 4; i++) story.push(await ask(clock, limiter))
    expect(story).toEqual(expected)
    expect(news).toEqual(['200 down: the store has not answered within 200 ms'])
    expect(clock.pendingTimers).toBe(0)
  })

  test('is tried four times a second whatever comes, and is used again as soon as it answers', async () => {
    const { clock, store, news, join } = rig({ limit: '1000 per 1h' })
    const limiter = join()
    await limiter.check('ann')
    store.state = 'refusing'
    store.calls = 0
    for (let i = 0; i < 1000; i++) {
      await limiter.check('ann')
      await clock.advance(10)
    }
    expect(store.calls).toBeGreaterThan(30)
    expect(store.calls).toBeLessThanOrEqual(41)
    store.state = 'up'
    await clock.advance(250)
    // The store counted one of them. It never received the thousand requests of the outage.
    expect((await limiter.check('ann')).limits[0]!.remaining).toBe(998)
    expect(news).toEqual(['0 down: ECONNREFUSED', '10250 up'])
  })

  test('is asked again by one request alone: of many at once the others do without', async () => {
    const { clock, store, join } = rig({ limit: '1000 per 1h', storeTimeoutMs: 100 })
    const limiter = join()
    store.state = 'silent'
    await ask(clock, limiter)
    await clock.advance(250)
    store.calls = 0
    let answered = 0
    for (let i = 0; i < 50; i++) void limiter.check('ann').then(() => answered++)
    await clock.advance(0)
    expect([answered, store.calls]).toEqual([49, 1])
    await clock.advance(100)
    expect(answered).toBe(50)
  })

  test('that fails for many at once: each has an answer, and the news is told once', async () => {
    const { clock, store, news, join } = rig({ storeTimeoutMs: 100 })
    const limiter = join()
    store.state = 'silent'
    const all = Promise.all(Array.from({ length: 50 }, () => limiter.check('ann')))
    await clock.advance(100)
    expect((await all).filter(({ allowed }) => allowed).length).toBe(3)
    expect(news.length).toBe(1)
  })

  test('answers 503 where no request is let in', async () => {
    const { clock, store, join } = rig({ onStoreDown: 'closed', address: () => '1.1.1.1' })
    store.state = 'refusing'
    const response = await join().fetch(() => new Response('hello'))(new Request('http://localhost'))
    expect([response.status, response.headers.get('retry-after'), response.headers.get('ratelimit')]).toEqual(
      [503, '1', null],
    )
    expect(await response.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
      status: 503,
    })
    expect(clock.pendingTimers).toBe(0)
  })

  test('that answers nonsense, or throws at once, is down too', async () => {
    const clock = new VirtualClock()
    for (const take of [
      () => Promise.resolve(undefined),
      () => Promise.resolve({ allowed: true, counts: [] }),
      () => {
        throw new Error('at once')
      },
    ]) {
      const limiter = guard({
        limit: '1 per 60s',
        name: 'chat',
        store: { take } as unknown as GuardStore,
        clock,
      })
      expect((await limiter.check('ann')).allowed).toBe(true)
      expect((await limiter.check('ann')).allowed).toBe(false)
    }
  })
})
