// When a provider counts as slow, and what share of the rate that leaves: the machine alone, as transcripts and laws.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Vitals } from '../../src/telemetry/latency-controller.ts'

const TAU = 15_000
const LIMIT = 1000
const vitals = () => new Vitals<'ttft'>({ ttft: LIMIT }, TAU)

/** Feeds one sample per `everyMs`, and returns share and state every `tellMs`. */
function story(spells: [ms: number, forMs: number][], everyMs = 500, tellMs = 15_000): string {
  const it = vitals()
  const lines: string[] = []
  let now = 0
  for (const [ms, forMs] of spells) {
    const end = now + forMs
    for (; now < end; now += everyMs) {
      if (now % tellMs === 0) lines.push(`${now / 1000}s ${it.share(now).toFixed(2)} ${it.look(now).state}`)
      it.sample('ttft', ms, now)
    }
  }
  lines.push(`${now / 1000}s ${it.share(now).toFixed(2)} ${it.look(now).state}`)
  return lines.join('\n')
}

test('the average is the one of the formula', () => {
  const it = vitals()
  let [weight, average, at] = [0, 0, 0]
  for (const [ms, now] of [
    [400, 1000],
    [900, 3000],
    [200, 3500],
    [700, 30_000],
  ] as const) {
    weight = 1 + weight * Math.exp((at - now) / TAU)
    average = ms / weight + (1 - 1 / weight) * average
    at = now
    it.sample('ttft', ms, now)
    expect(it.averages(now).get('ttft')).toBeCloseTo(average, 9)
    expect(it.averages(now + 5000).get('ttft')).toBeCloseTo(average * Math.exp(-5000 / TAU), 9)
  }
})

test('a provider that becomes twice too slow, and well again', () => {
  expect(
    story([
      [500, 60_000],
      [2000, 60_000],
      [500, 120_000],
    ]),
  ).toMatchInlineSnapshot(`
    "0s 1.00 healthy
    15s 1.00 healthy
    30s 1.00 healthy
    45s 1.00 healthy
    60s 1.00 healthy
    75s 0.88 unhealthy
    90s 0.54 unhealthy
    105s 0.29 unhealthy
    120s 0.15 unhealthy
    135s 0.11 unhealthy
    150s 0.12 healthy
    165s 0.16 healthy
    180s 0.21 healthy
    195s 0.30 healthy
    210s 0.43 healthy
    225s 0.60 healthy
    240s 0.85 healthy"
  `)
})

test('a provider that is a hundred times too slow is left a tenth of the rate', () => {
  expect(
    story([
      [500, 30_000],
      [100_000, 60_000],
    ]),
  ).toMatchInlineSnapshot(`
    "0s 1.00 healthy
    15s 1.00 healthy
    30s 1.00 healthy
    45s 0.55 unhealthy
    60s 0.17 unhealthy
    75s 0.10 unhealthy
    90s 0.10 unhealthy"
  `)
})

test('silence forgets: what is not seen is not held against anybody', () => {
  const it = vitals()
  for (let now = 0; now < 60_000; now += 500) it.sample('ttft', 4000, now)
  expect(it.share(60_000)).toBeCloseTo(0.1, 9)
  const later = [10, 20, 30, 60, 120].map((s) => it.share(60_000 + s * 1000).toFixed(2))
  expect(later.join(' ')).toMatchInlineSnapshot(`"0.10 0.10 0.11 0.22 0.89"`)
  expect(it.state(60_000 + 120_000)).toBe('healthy')
})

test('asking changes nothing', () => {
  const [asked, left] = [vitals(), vitals()]
  for (let now = 0; now < 90_000; now += 700) {
    for (const it of [asked, left]) it.sample('ttft', now < 40_000 ? 3000 : 300, now)
    for (let at = now; at < now + 700; at += 100) asked.share(at)
    expect(asked.share(now + 650)).toBe(left.share(now + 650))
  }
})

test('the share in silence is that of many looks', () => {
  // One step of a long silence against the law itself, in steps of 1 ms.
  const it = vitals()
  for (let now = 0; now < 20_000; now += 500) it.sample('ttft', 3000, now)
  const at = 19_500
  let log = Math.log(it.share(at))
  const x = it.averages(at).get('ttft')! / LIMIT
  for (let ms = 0; ms < 90_000; ms++) {
    const excess = Math.log(x) - (ms + 0.5) / TAU
    log += (excess > 0 ? -excess : Math.min(-excess, Math.LN2) / 2) / TAU
    log = Math.min(0, Math.max(Math.log(0.1), log))
    if (ms % 10_000 === 0) expect(it.share(at + ms + 1)).toBeCloseTo(Math.exp(log), 6)
  }
})

const gaps = fc.integer({ min: 0, max: 20_000 })
const times = fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 0, max: 10_000_000 }))

test('law: the share is always from a tenth to the whole', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(gaps, times), { maxLength: 200 }), (samples) => {
      const it = vitals()
      let now = 0
      for (const [gap, ms] of samples) {
        now += gap
        const share = it.share(now)
        it.sample('ttft', ms, now)
        expect(it.share(now)).toBeCloseTo(share, 12)
        expect(share).toBeGreaterThanOrEqual(0.1 - 1e-12)
        expect(share).toBeLessThanOrEqual(1)
        expect(Number.isFinite(it.averages(now).get('ttft'))).toBe(true)
      }
    }),
  )
})

test('law: one slow sample among a hundred does nothing, however slow it was', () => {
  const story = fc.record({
    usual: fc.integer({ min: 1, max: 800 }),
    slow: fc.integer({ min: 1000, max: 10_000_000 }),
    everyMs: fc.integer({ min: 10, max: 5000 }),
    place: fc.integer({ min: 0, max: 99 }),
  })
  fc.assert(
    fc.property(story, ({ usual, slow, everyMs, place }) => {
      const it = vitals()
      for (let i = 0; i < 400; i++) {
        it.sample('ttft', i % 100 === place ? slow : usual, i * everyMs)
        expect(it.look(i * everyMs).state).toBe('healthy')
        expect(it.share(i * everyMs)).toBe(1)
      }
    }),
  )
})

test('law: a lasting slowdown is followed within one time constant, and what follows is lower and lower', () => {
  const story = fc.record({
    usual: fc.integer({ min: 1, max: 500 }),
    slow: fc.integer({ min: 2000, max: 1_000_000 }),
    everyMs: fc.integer({ min: 10, max: 3000 }),
  })
  fc.assert(
    fc.property(story, ({ usual, slow, everyMs }) => {
      const it = vitals()
      let now = 0
      for (; now < 60_000; now += everyMs) it.sample('ttft', usual, now)
      const since = now
      let before = 1
      for (; now < since + 3 * TAU; now += everyMs) {
        it.sample('ttft', slow, now)
        expect(it.share(now)).toBeLessThanOrEqual(before)
        before = it.share(now)
        if (now - since >= TAU) expect(before).toBeLessThan(slow < 4 * LIMIT ? 0.97 : 0.7)
      }
      expect(before).toBeLessThan(0.45)
      // Well again: the whole rate within eleven more.
      for (; now < since + 14 * TAU; now += everyMs) it.sample('ttft', usual, now)
      expect(it.share(now)).toBe(1)
      expect(it.look(now).state).toBe('healthy')
    }),
  )
})

test('law: a provider whose latency goes with its load is brought to the threshold, without swinging', () => {
  const story = fc.record({
    load: fc.double({ min: 1.2, max: 5, noNaN: true }),
    power: fc.double({ min: 0.5, max: 2, noNaN: true }),
  })
  fc.assert(
    fc.property(story, ({ load, power }) => {
      const it = vitals()
      let [least, most] = [1, 0]
      // The latency at the whole rate is load^power times the threshold.
      const right = 1 / load
      fc.pre(right > 0.12)
      for (let now = 0; now < 40 * TAU; now += 500) {
        it.sample('ttft', LIMIT * (it.share(now) * load) ** power, now)
        if (now < 30 * TAU) continue
        least = Math.min(least, it.share(now))
        most = Math.max(most, it.share(now))
      }
      expect(least).toBeGreaterThan(0.8 * right)
      expect(most).toBeLessThan(Math.min(1, 1.2 * right) + 1e-9)
    }),
  )
})
