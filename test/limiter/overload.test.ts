// Overload is not a limit: the gate closes, the rate stays, and only answers open the gate. Silence may be a black
// hole, so only 1, 2 and then 4 calls are sent into it.

import { expect, test } from 'vitest'
import { withLimiter } from 'llmiter'
import { each, deferred, EMPTY, fate, leftovers, overloaded, rig, seconds, steadyClock } from '../helpers.ts'

test('one, two, four while nothing comes back, and the rest with the first answer', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 100 }, steadyClock(0.5))
  const sent = new Map<string, number>()
  const calls = Array.from({ length: 60 }, () =>
    limiter.run(async () => {
      const at = seconds(clock.now())
      if (clock.now() < 100) throw overloaded(5000)
      sent.set(at, (sent.get(at) ?? 0) + 1)
      await clock.sleep(1000)
    }),
  )
  await clock.runAll()
  await Promise.all(calls)
  expect([...sent]).toEqual([
    ['5.05', 1],
    ['5.10', 1],
    ['5.15', 2],
    ['6.05', 56],
  ])
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a black hole: four calls enter it, then one in 30 s', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 100 })
  const hang = deferred()
  const sent: string[] = []
  const calls = Promise.all(
    Array.from({ length: 8 }, () =>
      limiter.run(async () => {
        if (clock.now() === 0) throw overloaded(1000)
        sent.push(seconds(clock.now()))
        await hang.promise
      }),
    ),
  )
  await clock.advance(30_000)
  expect(sent).toEqual(['1.00', '1.05', '1.10', '1.10'])
  await clock.advance(35_000)
  expect(sent.slice(4)).toEqual(['31.10', '61.10'])
  hang.resolve('at last')
  await clock.runAll()
  await calls
})

test('a refusal of one that went in silence closes the gate again, and it starts with one', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 100 })
  const sent: string[] = []
  const bad = (at: number) => at < 10 || (at >= 1050 && at < 1200)
  const calls = Array.from({ length: 8 }, () =>
    limiter.run(async () => {
      const at = clock.now()
      sent.push(`${seconds(at)}${bad(at) ? '!' : ''}`)
      if (bad(at)) throw overloaded(1000)
      await clock.sleep(1000)
    }),
  )
  await clock.runAll()
  await Promise.all(calls)
  expect(sent.slice(8)).toEqual(['1.00', '1.05!', '2.05', '2.10', '2.15', '2.15', ...Array(3).fill('3.05')])
})

test('the rate is not lowered, however often it happens', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 600 })
  const learned: unknown[] = []
  limiter.on('learn', (event) => learned.push(event))
  let sent = 0
  void Promise.all(
    Array.from({ length: 300 }, () =>
      limiter.run(() => {
        if (sent++ % 4 === 3) throw overloaded(200)
      }),
    ),
  )
  await clock.advance(300_000)
  expect(limiter.stats().waiting).toBe(0)
  expect(learned).toEqual([])
  expect(limiter.stats().limits[0]!.learned).toBeUndefined()
})

test('a stream that has begun is an answer: the slow start does not wait for its end', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 100 })
  const over = deferred()
  let sent = 0
  const open = withLimiter(async () => {
    if (sent++ < 6) throw overloaded(1000)
    return (async function* () {
      yield 1
      await over.promise
    })()
  }, limiter)
  const streams = Promise.all(Array.from({ length: 6 }, () => open()))
  await clock.advance(5000)
  expect(sent).toBe(12)
  over.resolve(undefined)
  for (const stream of await streams) await each(stream)
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('529 and slow_down are overload too', async () => {
  for (const error of [
    { status: 529 },
    { status: 429, code: 'slow_down' },
    { status: 503, code: 'slow_down' },
  ]) {
    const { clock, limiter } = rig({ maxConcurrent: 100 })
    let sent = 0
    const kinds: string[] = []
    limiter.on('refuse', ({ verdict }) => kinds.push(verdict.kind))
    const call = fate(
      limiter.run(() => (sent++ === 0 ? Promise.reject(Object.assign(new Error('busy'), error)) : 'in')),
    )
    await clock.runAll()
    expect([kinds, call.now]).toEqual([['overload'], 'ok: in'])
  }
})
