// A calendar day: from midnight to midnight in its zone, whatever the wall clock does.

import { expect, test } from 'vitest'
import { fate, rig, steadyClock } from '../helpers.ts'

const HOUR = 3_600_000
const daily = (timeZone: string | undefined, wall: number, amount = 2) =>
  rig(
    { limits: [{ of: 'requests', amount, per: { calendar: 'day', ...(timeZone && { timeZone }) } }] },
    steadyClock(0, { wall }),
  )

test.each([
  ['UTC by default', undefined, '2026-03-10T12:00:00Z', 12],
  ['a zone of its own', 'America/Los_Angeles', '2026-01-10T20:00:00Z', 12],
  ['half an hour off', 'Asia/Kolkata', '2026-01-10T12:00:00Z', 6.5],
  ['a day of 23 hours', 'America/New_York', '2026-03-08T05:00:00Z', 23],
  ['a day of 25 hours', 'America/New_York', '2026-11-01T04:00:00Z', 25],
  ['a midnight that does not exist', 'America/Sao_Paulo', '2018-11-03T12:00:00Z', 15],
  ['across the date line', 'Pacific/Kiritimati', '2026-01-10T09:59:00Z', 1 / 60],
])('%s', async (_, timeZone, wall, hours) => {
  const { clock, limiter } = daily(timeZone, Date.parse(wall))
  const calls = [1, 2, 3].map(() => fate(limiter.run(() => clock.now())))
  await clock.advance(hours * HOUR - 1)
  expect(calls.map(({ now }) => now)).toEqual(['ok: 0', 'ok: 0', 'pending'])
  await clock.runAll()
  expect(Number(calls[2]!.now.slice(4))).toBeCloseTo(hours * HOUR, -1)
})

test('the wall clock set forward over midnight: a new day, also for those who wait', async () => {
  const { clock, limiter } = daily('UTC', Date.parse('2026-01-10T12:00:00Z'))
  const calls = [1, 2, 3].map(() => fate(limiter.run(() => clock.now())))
  await clock.advance(1000)
  clock.shiftWall(13 * HOUR)
  await clock.runAll()
  expect(calls[2]!.now).toMatch(/^ok/)
})

test('set back over midnight and forth again, the day keeps its count', async () => {
  const { clock, limiter } = daily('UTC', Date.parse('2026-01-10T01:00:00Z'))
  expect([limiter.tryAcquire(), limiter.tryAcquire(), limiter.tryAcquire()].filter(Boolean)).toHaveLength(2)
  clock.shiftWall(-3 * HOUR)
  await clock.advance(1000)
  limiter.stats()
  clock.shiftWall(3 * HOUR)
  await clock.advance(1000)
  expect(limiter.tryAcquire()).toBeUndefined()
})

test('set back within the day, nothing changes', async () => {
  const { clock, limiter } = daily('UTC', Date.parse('2026-01-10T12:00:00Z'))
  for (const hours of [-5, 3, -6, 1]) {
    limiter.tryAcquire()
    clock.shiftWall(hours * HOUR)
    await clock.advance(1000)
  }
  expect(limiter.tryAcquire()).toBeUndefined()
})

test('what was not used comes back to the day in which it was taken', async () => {
  const { clock, limiter } = rig(
    { limits: [{ of: 'tokens', amount: 100, per: { calendar: 'day' } }] },
    steadyClock(0, { wall: Date.parse('2026-01-10T23:00:00Z') }),
  )
  const yesterday = limiter.tryAcquire({ cost: { tokens: 80 } })!
  await clock.advance(2 * HOUR)
  const today = limiter.tryAcquire({ cost: { tokens: 50 } })!
  yesterday.finish({ usage: { tokens: 0 } })
  expect(limiter.stats().limits[0]!.available).toBe(50)
  today.finish({ usage: { tokens: 20 } })
  expect(limiter.stats().limits[0]!.available).toBe(80)
})
