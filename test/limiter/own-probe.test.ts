// The user's own probe, called instead of sending a call. Its errors never block the limiter forever.

import { expect, test } from 'vitest'
import { perModel, withLimiter } from 'llmiter'
import { EMPTY, fate, leftovers, rateLimited, rig, seconds, steadyClock } from '../helpers.ts'

test('the probe is asked when the wait is over; the gate opens when it says so', async () => {
  const asked: string[] = []
  const clock = steadyClock(0.5)
  const { limiter } = rig(
    { requestsPerMinute: 6000, probe: async () => (asked.push(seconds(clock.now())), asked.length === 3) },
    clock,
  )
  let sent = 0
  const call = fate(
    limiter.run(() => (sent++ === 0 ? Promise.reject(rateLimited(1000)) : seconds(clock.now()))),
  )
  await clock.runAll()
  expect(asked).toEqual(['1.01', '1.76', '2.88'])
  expect([sent, call.now]).toEqual([2, 'ok: 2.88'])
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

const faults: [string, () => boolean | Promise<boolean>][] = [
  [
    'throws',
    () => {
      throw new Error('no network')
    },
  ],
  ['rejects', () => Promise.reject(new Error('no network'))],
  ['hangs', () => new Promise(() => {})],
  ['answers with rubbish', () => 'yes' as never],
]
test.each(faults)('a probe that %s means "still blocked", and is asked again', async (_, fault) => {
  let asked = 0
  const { clock, limiter } = rig({ probe: () => (asked++ < 3 ? fault() : true) })
  const errors: string[] = []
  limiter.on('error', ({ where }) => errors.push(where))
  let sent = 0
  const call = fate(limiter.run(() => (sent++ === 0 ? Promise.reject(rateLimited(1000)) : 'in')))
  await clock.runAll({ untilMs: 200_000 })
  expect([asked, call.now]).toEqual([4, 'ok: in'])
  expect(new Set(errors)).toEqual(new Set(_ === 'throws' || _ === 'rejects' ? ['probe'] : []))
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a probe that hangs has its signal aborted', async () => {
  const signals: AbortSignal[] = []
  const { clock, limiter } = rig({
    probe: (signal) => (signals.push(signal), signals.length > 1 || new Promise(() => {})),
  })
  let sent = 0
  void limiter.run(() => (sent++ === 0 ? Promise.reject(rateLimited(1000)) : 'in'))
  await clock.runAll()
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
})

test('the limiter of a model asks its service', async () => {
  const clock = steadyClock()
  let blocked = 2
  const service = perModel({ a: { limits: [], clock } }, { isBlocked: () => blocked-- > 0 })
  let sent = 0
  const ask = withLimiter(
    (_: { model: string }) => (sent++ === 0 ? Promise.reject(rateLimited(1000)) : 'in'),
    service,
  )
  const call = fate(ask({ model: 'a' }))
  await clock.runAll()
  expect([blocked, sent, call.now]).toEqual([-1, 2, 'ok: in'])
})

test('after an outage longer than the quiet minute the rate resumes at 0.9, not at a third', async () => {
  const { clock, limiter } = rig({
    requestsPerMinute: 600,
    ramp: { ms: 5000, from: 1 / 3 },
    probe: () => true,
  })
  const times: number[] = []
  let shut = false
  const calls = Array.from({ length: 150 }, () =>
    limiter.run(() => {
      if (shut) {
        shut = false
        throw rateLimited(90_000)
      }
      times.push(clock.now())
    }),
  )
  await clock.advance(10_000)
  shut = true
  const before = times.length
  await clock.runAll()
  await Promise.all(calls)
  const [first, , , , , sixth] = times.slice(before)
  expect(sixth! - first!).toBeLessThan((5 * 100) / 0.85)
})
