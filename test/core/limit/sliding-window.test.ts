// The hard cap under every burst, against a count by hand; and midnights.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CalendarWindow, SlidingWindow } from '../../../src/core/limit/sliding-window.ts'
import { nextMidnight } from '../../../src/lib/calendar.ts'

const steps = fc.array(
  fc.record({
    after: fc.integer({ min: 0, max: 400 }),
    amount: fc.integer({ min: 1, max: 9 }),
    settle: fc.option(fc.integer({ min: -9, max: 9 })),
  }),
  { maxLength: 80 },
)

test('a window of 1 s: never less than what counts, and `when` is the moment at which it fits', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 20 }), (steps, room) => {
      const window = new SlidingWindow(1000)
      const log: { at: number; amount: number }[] = []
      const used = (now: number) =>
        log.filter(({ at }) => at + 1000 > now).reduce((sum, { amount }) => sum + amount, 0)
      let now = 0
      for (const { after, amount, settle } of steps) {
        now += after
        window.add(amount, now)
        const entry = { at: now, amount }
        log.push(entry)
        if (settle !== null) {
          window.amend(Math.max(-amount, settle), now, now)
          entry.amount += Math.max(-amount, settle)
        }
        expect(window.used(now)).toBe(used(now))
        const at = window.when(room, now)
        expect(used(at)).toBeLessThanOrEqual(room)
        if (at > now) expect(used(at - 0.001)).toBeGreaterThan(room)
      }
      expect(window.used(now + 1000)).toBe(0)
    }),
  )
})

test('a million entries in a window stay a few thousand', () => {
  const window = new SlidingWindow(60_000)
  for (let i = 0; i < 1_000_000; i++) window.add(1, i / 20)
  expect(window.used(50_000)).toBe(1_000_000)
  expect(window.dump(50_000).length).toBeLessThan(5000)
})

test('what is taken back after the window has passed changes nothing', () => {
  const window = new SlidingWindow(1000)
  window.add(5, 0)
  window.add(3, 1500)
  window.amend(-5, 0, 1600)
  expect(window.used(1600)).toBe(3)
})

test('dump and add again give the same count', () => {
  const window = new SlidingWindow(1000)
  for (const at of [0, 100.1, 250.7, 900.3]) window.add(2, at)
  const copy = new SlidingWindow(1000)
  for (const [age, amount] of window.dump(950)) copy.add(amount, 950 - age)
  for (const now of [950, 1000, 1101, 1300, 1901]) expect(copy.used(now)).toBe(window.used(now))
})

const midnights: [string, string, string][] = [
  ['UTC', '2026-06-01T00:00:00Z', '2026-06-02T00:00:00Z'],
  ['UTC', '2026-12-31T23:59:59.999Z', '2027-01-01T00:00:00Z'],
  ['America/Los_Angeles', '2026-03-08T09:00:00Z', '2026-03-09T07:00:00Z'],
  ['America/Los_Angeles', '2026-11-01T08:00:00Z', '2026-11-02T08:00:00Z'],
  ['America/Sao_Paulo', '2018-11-03T12:00:00Z', '2018-11-04T03:00:00Z'],
  ['Asia/Kathmandu', '2026-01-01T12:00:00Z', '2026-01-01T18:15:00Z'],
  ['Africa/Cairo', '2026-04-23T12:00:00Z', '2026-04-23T22:00:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T20:00:00Z', '2026-04-05T13:30:00Z'],
  // Samoa had no 30 December in 2011.
  ['Pacific/Apia', '2011-12-29T12:00:00Z', '2011-12-30T10:00:00Z'],
]
test.each(midnights)('the midnight of %s after %s', (zone, wall, next) => {
  expect(new Date(nextMidnight(Date.parse(wall), zone)).toISOString()).toBe(new Date(next).toISOString())
})

test('midnights of a year follow each other, a day of 23 to 25 hours apart', () => {
  for (const zone of ['Europe/Berlin', 'America/Santiago', 'Asia/Beirut']) {
    let at = Date.UTC(2026, 0, 1)
    for (let i = 0; i < 365; i++) {
      const next = nextMidnight(at, zone)
      if (i > 0) expect([23, 24, 25]).toContain((next - at) / 3_600_000)
      at = next
    }
  }
})

test('a clock that is set within a second is not looked at', () => {
  const wall = { offsetMs: Date.UTC(2026, 0, 1, 23, 59, 59, 500) }
  const day = new CalendarWindow('UTC', wall)
  day.add(5, 0)
  wall.offsetMs += 300
  expect(day.used(100)).toBe(5)
  wall.offsetMs += 5000
  expect(day.used(200)).toBe(0)
})
