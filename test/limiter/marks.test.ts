// Code around a limiter can count from a mark, read its clock, learn about its end, and report errors.

import { expect, test } from 'vitest'
import { perModel, shared } from 'llmiter'
import { fate, rateLimited, rig } from '../helpers.ts'

test('stats from a mark on count what came after it', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, tokensPerMinute: 6000, burst: 1 })
  const cost = { tokens: 100 }
  for (let i = 0; i < 4; i++) fate(limiter.run(() => 1, { cost }))
  await clock.advance(1500)
  const mark = limiter.mark()
  expect(mark.at).toBe(1500)
  expect(limiter.stats(mark)).toMatchObject({ requests: 0, issued: 0, finished: 0, waiting: 2 })
  fate(limiter.run(() => Promise.reject(new Error('mine')), { cost }))
  await clock.advance(10_000)

  const { waitMs, limits, ...since } = limiter.stats(mark)
  expect(since).toMatchObject({ requests: 1, issued: 3, finished: 3, failed: 1, refused: 0, waiting: 0 })
  expect(limits).toMatchObject([
    { asked: 3, used: 3 },
    { asked: 300, used: 300 },
  ])
  expect(waitMs.p50).toBeGreaterThan(limiter.stats().waitMs.p50)
  expect(limiter.stats()).toMatchObject({ requests: 5, issued: 5, finished: 5, failed: 1 })
})

test('a refused call asks for its tokens twice and uses them once; a mark outlives an update', async () => {
  const { clock, limiter } = rig({ tokensPerMinute: 6000 })
  const mark = limiter.mark()
  let tries = 0
  const work = () => (tries++ === 0 ? Promise.reject(rateLimited(1000)) : { usage: { total_tokens: 40 } })
  fate(limiter.run(work, { cost: { tokens: 100 } }))
  await clock.advance(5000)
  limiter.update({ tokensPerMinute: 3000 })
  expect(limiter.stats(mark)).toMatchObject({ requests: 1, issued: 2, refused: 1, finished: 1 })
  expect(limiter.stats(mark).limits).toMatchObject([{ amount: 3000, asked: 200, used: 40 }])
})

test('drain and stop are emitted when they finish, before their awaiters continue', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  const log: string[] = []
  limiter.on('drain', () => log.push('drained'))
  limiter.on('stop', ({ reason }) => log.push(`stopped: ${String(reason)}, ${limiter.stats().waiting} wait`))
  fate(limiter.run(() => clock.sleep(10)))
  const drained = limiter.drain().then(() => log.push('went on'))
  await clock.advance(100)
  await drained
  for (let i = 0; i < 20; i++) fate(limiter.run(() => 1))
  limiter.stop('enough')
  expect(log).toEqual(['drained', 'went on', 'stopped: enough, 0 wait'])
})

test('code around it shares its clock, and reports errors through it', () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60 })
  const told: unknown[] = []
  limiter.on('error', (event) => told.push(event))
  limiter.report(new Error('full'), 'log')
  expect(limiter.clock).toBe(clock)
  expect(told).toEqual([{ limiter: 'test', error: new Error('full'), where: 'log' }])
})

test('a service shows its limiters, those made later too, until nobody looks', () => {
  const models = perModel({ a: { requestsPerMinute: 1 }, default: { requestsPerMinute: 2 } })
  const seen: string[] = []
  const off = models.onLimiter(({ name }) => seen.push(name))
  models.limiterFor('b')
  models.limiterFor('b')
  off()
  models.limiterFor('c')
  expect(seen).toEqual(['a', 'default', 'b'])
  const one: string[] = []
  shared({ name: 'mistral', requestsPerMinute: 60 }).onLimiter(({ name }) => one.push(name))()
  expect(one).toEqual(['mistral'])
})

test('an onLimiter listener that throws is reported, and the call that created the limiter continues', () => {
  const models = perModel({ default: { requestsPerMinute: 2 } })
  const told: string[] = []
  models.onLimiter((limiter) => {
    limiter.on('error', ({ where }) => told.push(where))
    if (limiter.name === 'b') throw new Error('mine')
  })
  expect(models.limiterFor('b').name).toBe('b')
  expect(told).toEqual(['listener of onLimiter'])
})
