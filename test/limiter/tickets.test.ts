// Tickets for code that runs its calls itself: all the ways in which one is returned.

import { expect, test } from 'vitest'
import { type LimiterOptions, type Ticket } from 'llmiter'
import { EMPTY, fate, leftovers, outOfQuota, overloaded, rateLimited, rig } from '../helpers.ts'

const day = ['requests', 'inputTokens', 'outputTokens', 'tokens'].map((of) => ({
  of,
  amount: 1000,
  per: '1d' as const,
}))
const counted = (options: Partial<LimiterOptions> = {}) => {
  const { clock, limiter } = rig({ limits: day, ...options })
  const used = (of: string) => 1000 - limiter.stats().limits.find((limit) => limit.of === of)!.available
  return { clock, limiter, used }
}
const bytes = (...texts: string[]) =>
  new ReadableStream<string>({
    start(controller) {
      for (const text of texts) controller.enqueue(text)
      controller.close()
    },
  })

test('hold: the ticket is out until the stream is over, and settled by what its reader says', async () => {
  const { clock, limiter, used } = counted()
  const ticket = await limiter.acquire({ cost: { inputTokens: 100, outputTokens: 100 } })
  const seen: unknown[] = []
  const stream = ticket.hold(bytes('a', 'b'), (chunk) => {
    seen.push(chunk)
    return { inputTokens: seen.length, outputTokens: 5 }
  })
  expect(limiter.stats().inFlight).toBe(1)
  expect(await new Response(stream.pipeThrough(new TextEncoderStream())).text()).toBe('ab')
  expect(seen).toEqual(['a', 'b', undefined])
  expect([used('inputTokens'), used('outputTokens'), used('tokens')]).toEqual([3, 5, 8])
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('hold: a stream that was left or failed is charged the estimate, and usage is not read at its end', async () => {
  for (const end of ['left', 'broken']) {
    const { clock, limiter, used } = counted()
    const ticket = await limiter.acquire({ cost: { inputTokens: 100, outputTokens: 100 } })
    const seen: unknown[] = []
    let pulls = 0
    const source = new ReadableStream(
      {
        pull(controller) {
          if (pulls++ === 0) controller.enqueue('a')
          else controller.error(new Error('cut'))
        },
      },
      { highWaterMark: 0 },
    )
    const reader = ticket
      .hold(source, (chunk) => {
        seen.push(chunk)
        return { inputTokens: 1, outputTokens: 1 }
      })
      .getReader()
    await reader.read()
    if (end === 'left') await reader.cancel()
    else await expect(reader.read()).rejects.toThrow('cut')
    expect(seen).toEqual(['a'])
    expect(used('tokens')).toBe(200)
    expect(leftovers(limiter, clock)).toEqual(EMPTY)
  }
})

test('hold: a ticket that comes back before the end of its stream comes back once', async () => {
  const { clock, limiter, used } = counted()
  const ticket = await limiter.acquire({ cost: { inputTokens: 100, outputTokens: 0 } })
  const stream = ticket.hold(bytes('a', 'done', 'b'), (chunk) => {
    if (chunk === 'done') ticket.finish({ usage: { inputTokens: 7 } })
    return { inputTokens: 50 }
  })
  await new Response(stream.pipeThrough(new TextEncoderStream())).text()
  expect(used('inputTokens')).toBe(7)
  expect(limiter.stats().finished).toBe(1)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('hold: the ticket of an unread stream returns after five minutes; without a stream immediately', async () => {
  const { clock, limiter } = rig()
  const stuck: string[] = []
  limiter.on('stuck', ({ reason }) => stuck.push(reason))
  const unread = (await limiter.acquire()).hold(bytes('a'))
  await clock.advance(300_000)
  expect(stuck).toEqual(['a stream was not read for 300000 ms'])
  expect(limiter.stats().inFlight).toBe(0)
  expect(unread).toBeInstanceOf(ReadableStream)
  const thing = { not: 'a stream' }
  expect((await limiter.acquire()).hold(thing)).toBe(thing)
  expect(limiter.stats().inFlight).toBe(0)
})

test('hold: a reader that throws is told of, and the stream goes on', async () => {
  const { limiter } = counted()
  const errors: string[] = []
  limiter.on('error', ({ where }) => errors.push(where))
  const stream = (await limiter.acquire()).hold(bytes('a', 'b'), () => {
    throw new Error('oops')
  })
  expect(await new Response(stream.pipeThrough(new TextEncoderStream())).text()).toBe('ab')
  expect(errors).toEqual(['usage', 'usage', 'usage'])
})

test('accepted: headers are enough to open the gate after an overload, and tell the limits', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  const first = limiter.acquire().then((ticket) => ticket.refuse(overloaded(100)))
  const others = [1, 2].map(() => limiter.acquire())
  await clock.advance(1000)
  expect(limiter.stats()).toMatchObject({ gate: 'probing', waiting: 0 })
  ;(await first).accepted({ headers: { 'x-ratelimit-limit-requests': '300' } })
  await clock.advance(1000)
  expect(limiter.stats()).toMatchObject({ waiting: 0, inFlight: 3, told: [{ of: 'requests', limit: 300 }] })
  expect(limiter.stats().limits[0]!.learned).toBeCloseTo(300)
  for (const ticket of await Promise.all([first, ...others])) ticket.finish()
})

test('fail: the call is over; a refusal still closes the gate', async () => {
  const { clock, limiter } = rig({ requestsPerDay: 1000 })
  ;(await limiter.acquire()).fail(new Error('no business of a limiter'))
  expect(limiter.stats()).toMatchObject({ gate: 'open', inFlight: 0, refused: 0 })
  const failed = await limiter.acquire()
  failed.fail(rateLimited(500))
  failed.fail(rateLimited(500))
  failed.finish()
  expect(limiter.stats()).toMatchObject({ gate: 'closed', inFlight: 0, parked: 0, refused: 1 })
  const next = fate(limiter.acquire())
  await clock.advance(490)
  expect(next.now).toBe('pending')
  await clock.advance(1000)
  expect(next.now).toMatch('ok')
  expect(limiter.stats().limits[0]!.available).toBe(997)
})

test('again: the place in line that the call first had', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const order: string[] = []
  const take = (name: string, ticket: Promise<Ticket>) =>
    void ticket.then((one) => {
      order.push(name)
      setTimeout(() => one.finish())
    })
  const first = await limiter.acquire()
  take('second', limiter.acquire())
  take('third', limiter.acquire())
  first.fail(new Error('HTTP 500'))
  take('first again', first.again())
  take('fourth', limiter.acquire())
  for (let i = 0; i < 8; i++) await new Promise((resolve) => setTimeout(resolve))
  // The second already had its ticket when the first failed.
  expect(order).toEqual(['second', 'first again', 'third', 'fourth'])
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('again: returns a ticket that is still held, and stops like any call', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1, queue: { max: 5 } })
  const abort = new AbortController()
  const first = await limiter.acquire({ signal: abort.signal, maxWaitMs: 100 })
  const second = await first.again()
  expect(limiter.stats().inFlight).toBe(1)
  const waiting = fate(first.again())
  abort.abort(new Error('given up'))
  await clock.advance(0)
  expect(waiting.now).toBe('error: given up')
  second.fail(outOfQuota())
  await expect(second.again()).rejects.toThrow('given up')
  limiter.stop()
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('again: a call that was admitted before has a place in a full queue, and counts as one request', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1, queue: { max: 1 } })
  let asked = 0
  limiter.on('request', () => asked++)
  const first = await limiter.acquire()
  const second = limiter.acquire()
  first.fail(new Error('HTTP 500'))
  const third = limiter.acquire()
  const again = first.again()
  expect(limiter.stats()).toMatchObject({ waiting: 2, parked: 1 })
  for (const ticket of [second, again, third]) (await ticket).finish()
  expect(asked).toBe(3)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('again: the waits add up to maxWaitMs', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const other = await limiter.acquire()
  const coming = limiter.acquire({ maxWaitMs: 1000 })
  await clock.advance(600)
  other.finish()
  const ticket = await coming
  ticket.fail(new Error('HTTP 500'))
  const blocker = await limiter.acquire()
  const again = fate(ticket.again())
  await clock.advance(390)
  expect(again.now).toBe('pending')
  await clock.advance(20)
  expect(again.now).toMatch('no ticket within maxWaitMs (1000 ms)')
  blocker.finish()
})

test('refuse: a Response is read from a copy, and comes back when waiting does not help', async () => {
  const { clock, limiter } = rig()
  const quota = Response.json({ error: { code: 'insufficient_quota' } }, { status: 429 })
  const refused = await limiter.acquire()
  await expect(refused.refuse(quota)).rejects.toBe(quota)
  expect(await quota.json()).toEqual({ error: { code: 'insufficient_quota' } })
  expect(limiter.stats()).toMatchObject({ refused: 1, parked: 0 })
  const other = rig()
  const teapot = new Response('no', { status: 418 })
  await expect((await other.limiter.acquire()).refuse(teapot)).rejects.toBe(teapot)
  const parked = (await other.limiter.acquire()).refuse(
    new Response('', { status: 429, headers: { 'retry-after': '1' } }),
  )
  await other.clock.advance(900)
  expect(other.limiter.stats().parked).toBe(1)
  await other.clock.advance(200)
  ;(await parked).finish()
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('acquire: what the call sends tells what it will take, corrected by what calls have used', async () => {
  const { limiter, used } = counted()
  const request = { messages: [{ role: 'user', content: 'word '.repeat(80) }], max_tokens: 50 }
  const ticket = await limiter.acquire({ request })
  const estimate = used('inputTokens')
  expect(estimate).toBeGreaterThan(90)
  expect(estimate).toBeLessThan(130)
  expect(used('outputTokens')).toBe(50)
  ticket.finish({ usage: { inputTokens: 2 * estimate, outputTokens: 1 } })
  const before = used('inputTokens')
  const corrected = await limiter.acquire({ request, cost: { outputTokens: 0 } })
  expect(used('inputTokens') - before).toBe(2 * estimate)
  corrected.release()
})

test('acquire: an estimate beside a cost that was said never makes a call too large', async () => {
  const { limiter } = counted()
  const request = 'word '.repeat(5000)
  const ticket = await limiter.acquire({ request, cost: { outputTokens: 0 } })
  ticket.release()
  await expect(limiter.acquire({ request, cost: { outputTokens: 1001 } })).rejects.toMatchObject({
    code: 'REQUEST_TOO_LARGE',
  })
})
