// Overload is not a limit: the gate closes, nothing is learned, and it opens on answers only: 1, 2, 4 at once.

import { expect, test } from 'vitest'
import { withLimiter } from 'llmiter'
import { each, deferred, EMPTY, fate, office, overloaded, rig, seconds, steadyClock } from '../helpers.ts'

test('slow start: 1, then 2, then 4, each after the answers of those before', async () => {
  const { clock, limiter } = rig({}, steadyClock(0.5))
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
    ['6.05', 2],
    ['7.05', 4],
    ['8.05', 8],
    ['9.05', 16],
    ['10.05', 29],
  ])
  expect(office(limiter, clock)).toEqual(EMPTY)
})

test('silence is no sign of health: the gate stays while a probe hangs, and another goes after 30 s', async () => {
  const { clock, limiter } = rig()
  const hang = deferred()
  const sent: string[] = []
  const call = (name: string) =>
    limiter.run(() => {
      if (clock.now() === 0) throw overloaded(1000)
      sent.push(`${name}@${seconds(clock.now())}`)
      return name === 'a' ? hang.promise : name
    })
  const calls = Promise.all(['a', 'b', 'c'].map(call))
  await clock.advance(20_000)
  expect(sent).toEqual(['a@1.00'])
  await clock.advance(15_000)
  expect(sent).toEqual(['a@1.00', 'b@31.00', 'c@31.00'])
  hang.resolve('a')
  await clock.runAll()
  await calls
})

test('a refusal on the way up closes again; the slow start begins at 1', async () => {
  const { clock, limiter } = rig()
  const sent: string[] = []
  const bad = (at: number) => at < 10 || (at >= 2000 && at < 2100)
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
  expect(sent.slice(8)).toEqual([
    '1.00',
    '2.00!',
    '2.00!',
    '3.00',
    '4.00',
    '4.00',
    '5.00',
    '5.00',
    '5.00',
    '5.00',
  ])
})

test('nothing is learned of the rate, however often it happens', async () => {
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
  const { clock, limiter } = rig()
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
  expect(office(limiter, clock)).toEqual(EMPTY)
})

test('529 and slow_down are overload too', async () => {
  for (const error of [
    { status: 529 },
    { status: 429, code: 'slow_down' },
    { status: 503, code: 'slow_down' },
  ]) {
    const { clock, limiter } = rig()
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
