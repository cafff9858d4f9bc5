// The connection between a client and a provider: which side learns what, and when.

import { expect, test } from 'vitest'
import { OutageProvider, TokenBucketProvider, VirtualClock } from '../../../src/testing/index.ts'
import { poisson } from '../../../src/testing/world/poisson.ts'
import { lateClock, streamOf } from '../../../src/testing/world/seeded-run.ts'
import { Wire, type WireOptions } from '../../../src/testing/world/wire.ts'

const oneAMinute = () => new TokenBucketProvider({ requestsPerMinute: 60, capacityMs: 1000 })

/** A wire of which each draw is `drawn`; what happens on it goes to `story`. */
function stage(options: Partial<WireOptions>, drawn = 0.5) {
  const clock = new VirtualClock()
  const wire = new Wire({ clock, provider: oneAMinute(), random: () => drawn, jitterMs: 20, ...options })
  const story: string[] = []
  const send = async (name: string, serviceMs = 300) => {
    const reply = await wire.send({}, serviceMs, ({ kind }, at) => story.push(`${at} ${name} ${kind}`))
    story.push(`${clock.now()} ${name} ${reply ? `has ${reply.status}` : 'has nothing'}`)
    return reply
  }
  return { clock, story, send }
}

test('a call is 10 ms and half of the jitter on its way, is answered after its own time, or refused 25 ms later', async () => {
  const { clock, story, send } = stage({})
  void send('a')
  void send('b')
  await clock.advance(1000)
  expect(story).toEqual(['20 a admitted', '20 b refused', '45 b has 429', '320 a has 200'])
})

test('silence is told at once, and no timer is left', async () => {
  const provider = new OutageProvider(oneAMinute(), { fromMs: 0, toMs: 60_000, says: 'nothing' })
  const { clock, story, send } = stage({ provider })
  void send('a')
  await clock.advance(1000)
  expect(story).toEqual(['20 a silent', '20 a has nothing'])
  expect(clock.pendingTimers).toBe(0)
})

test('replies tell the limits only where they are asked to', async () => {
  for (const headers of [true, false]) {
    const { clock, send } = stage({ headers })
    const replies = Promise.all([send('a'), send('b')])
    await clock.advance(1000)
    for (const reply of await replies)
      expect(Object.keys(reply!.headers).some((name) => name.startsWith('x-ratelimit-'))).toBe(headers)
  }
})

test('the streams of a seed repeat, and differ from each other', () => {
  const [a, again, b] = [streamOf(5, 1), streamOf(5, 1), streamOf(5, 2)].map((stream) => stream()) as [
    number,
    number,
    number,
  ]
  expect(a).toBe(again)
  expect(a).not.toBe(b)
})

test('timers of a run are late by less than 2 ms, except punctual ones', async () => {
  let punctual = false
  const clock = lateClock(3, 0, () => punctual)
  const fired: number[] = []
  for (const isPunctual of [false, true]) {
    punctual = isPunctual
    clock.setTimer(() => fired.push(clock.now()), 100)
  }
  await clock.advance(200)
  const [exact, late] = fired as [number, number]
  expect(exact).toBe(100)
  expect(late).toBeGreaterThan(100)
  expect(late).toBeLessThan(102)
})

test('a Poisson stream has its rate, and the spread of one', () => {
  const moments = [...poisson(0.01, 1_000_000, streamOf(1, 1))]
  // 10,000 ± 4 standard deviations.
  expect(Math.abs(moments.length - 10_000)).toBeLessThan(400)
  const gaps = moments.slice(1).map((at, i) => at - moments[i]!)
  const mean = gaps.reduce((sum, gap) => sum + gap) / gaps.length
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length
  expect(Math.sqrt(variance) / mean).toBeCloseTo(1, 1)
})
