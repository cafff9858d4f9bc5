// The effect of latency health on the pace of a limiter, and on new calls.

import { describe, expect, test } from 'vitest'
import { BucketRateLimiter, LimiterError, perModel } from 'llmiter'
import { latencyHealth, ProviderUnhealthyError } from 'llmiter/health'
import { departures, each, fate, rig, steadyClock } from '../helpers.ts'
import { load, streaming, told, tokens } from './streaming.ts'

describe('a slow provider', () => {
  test('is warned of, then asked less, then more again', async () => {
    const latency = { ttftMs: 300, count: 2 }
    const health = latencyHealth({ ttftMs: 1000, itlMs: 30 })
    const { clock, limiter, call } = streaming({ requestsPerMinute: 600, health }, latency)
    const lines = told(limiter, clock)
    const times = departures(limiter, clock)
    const perSecond = (from: number) => times.filter((at) => at >= from && at < from + 10_000).length / 10
    await load(clock, call, 100, 30_000)
    expect(perSecond(20_000)).toBeCloseTo(10, 0)
    latency.ttftMs = 2500
    await load(clock, call, 100, 60_000)
    expect(perSecond(80_000)).toBeLessThan(2.1)
    expect(perSecond(80_000)).toBeGreaterThan(0.9)
    latency.ttftMs = 300
    await load(clock, call, 100, 150_000)
    expect(perSecond(230_000)).toBeGreaterThan(9)
    expect(limiter.stats().health).toMatchObject({ state: 'healthy', share: 1 })
    expect(lines.join('\n')).toMatchInlineSnapshot(`
      "36.20 warning 1.00
      36.90 unhealthy 1.00
      121.23 warning 0.10
      125.18 healthy 0.10"
    `)
  })

  test('is asked less though nobody stands in line: light load is load too', async () => {
    const latency = { ttftMs: 4000, count: 1 }
    const health = latencyHealth({ ttftMs: '1s' })
    // 20 % of the limit: the burst would pay for all of it.
    const { clock, limiter, call } = streaming({ requestsPerMinute: 600, burst: 20, health }, latency)
    const times = departures(limiter, clock)
    await load(clock, call, 500, 120_000)
    const late = times.filter((at) => at >= 90_000).length / 30
    expect(late).toBeLessThan(1.2)
    expect(limiter.waitTime()).toBeGreaterThan(30_000)
  })

  test('is asked less though its headers prove that there is room', async () => {
    const health = latencyHealth({ durationMs: 1000 })
    const { clock, limiter } = rig({ requestsPerMinute: 600, pacing: 'eager', health }, steadyClock())
    const headers = { 'x-ratelimit-limit-requests': '600', 'x-ratelimit-remaining-requests': '500' }
    const call = () => limiter.run(() => clock.sleep(4000).then(() => ({ headers })))
    const times = departures(limiter, clock)
    await load(clock, call, 50, 120_000)
    expect(times.filter((at) => at >= 90_000).length / 30).toBeLessThan(1.2)
  })

  test('whose tokens come slowly is slow too', async () => {
    const latency = { ttftMs: 100, itlMs: 90, count: 20 }
    const { clock, limiter, call } = streaming(
      { requestsPerMinute: 600, health: latencyHealth({ ttftMs: 1000, itlMs: 30 }) },
      latency,
    )
    await load(clock, call, 200, 60_000)
    const { state, share, itlMs, ttftMs } = limiter.stats().health!
    expect({ state, itl: Math.round(itlMs!), ttft: Math.round(ttftMs!) }).toMatchObject({
      state: 'unhealthy',
    })
    expect(itlMs).toBeGreaterThan(85)
    expect(share).toBeLessThan(0.2)
  })

  test('is known by plain calls as well', async () => {
    const { clock, limiter } = rig({ requestsPerMinute: 600, health: latencyHealth({ durationMs: 2000 }) })
    await load(clock, () => limiter.run(() => clock.sleep(6000)), 500, 60_000)
    expect(limiter.stats().health).toMatchObject({ state: 'unhealthy' })
    expect(limiter.stats().health!.share).toBeLessThan(0.3)
  })

  test('a call that failed says nothing, nor does a stream of how long a plain call takes', async () => {
    const { clock, limiter } = rig({ health: latencyHealth({ durationMs: 2000 }), requestsPerMinute: 600 })
    const fails = () => limiter.run(() => clock.sleep(6000).then(() => Promise.reject(new Error('no'))))
    const streams = () => limiter.run(async () => tokens(clock, 9000)).then(each)
    await load(clock, fails, 500, 30_000)
    await load(clock, streams, 500, 30_000)
    expect(limiter.stats().health).toEqual({ state: 'healthy', share: 1, durationMs: 0 })
  })

  test('of an account: the health of all its models together', async () => {
    const clock = steadyClock()
    const health = latencyHealth({ durationMs: 1000 })
    const account = new BucketRateLimiter({
      name: 'account',
      requestsPerMinute: 600,
      health,
      ramp: false,
      clock,
    })
    const models = perModel({ default: { requestsPerMinute: 600, ramp: false, health } }, { parent: account })
    await load(clock, () => models.limiterFor('slow').run(() => clock.sleep(4000)), 500, 45_000)
    const share = (limiter: BucketRateLimiter) => limiter.stats().health!.share
    expect(share(models.limiterFor('slow'))).toBeLessThan(0.3)
    expect(share(account)).toBeLessThan(0.3)
    expect(share(models.limiterFor('quick'))).toBe(1)
  })

  test('and one slow call among many is nothing', async () => {
    const latency = { ttftMs: 300, count: 2 }
    const { clock, limiter, call } = streaming(
      { requestsPerMinute: 600, health: latencyHealth({ ttftMs: 1000 }) },
      latency,
    )
    const lines = told(limiter, clock)
    for (let i = 0; i < 5; i++) {
      latency.ttftMs = 300
      await load(clock, call, 100, 9900)
      latency.ttftMs = 60_000
      await load(clock, call, 100, 100)
    }
    latency.ttftMs = 300
    await load(clock, call, 100, 70_000)
    expect([lines, limiter.stats().health!.share]).toEqual([[], 1])
  })
})

describe("onUnhealthy: 'refuse'", () => {
  test('turns away a growing share of new calls, and takes them back in', async () => {
    const health = latencyHealth({ ttftMs: 1000, onUnhealthy: 'refuse' })
    const latency = { ttftMs: 300, count: 1 }
    const { clock, limiter, call } = streaming({ requestsPerMinute: 6000, health }, latency)
    const shares: number[] = []
    const phase = async (ttftMs: number, forMs: number) => {
      latency.ttftMs = ttftMs
      for (let ms = 0; ms < forMs; ms += 15_000) {
        const before = limiter.stats()
        await load(clock, call, 100, 15_000)
        shares.push((limiter.stats().issued - before.issued) / 150)
      }
    }
    await phase(300, 30_000)
    await phase(2500, 75_000)
    await phase(300, 150_000)
    expect(shares.map((share) => share.toFixed(2)).join(' ')).toMatchInlineSnapshot(
      `"1.00 1.00 0.97 0.63 0.30 0.13 0.10 0.10 0.10 0.12 0.17 0.23 0.33 0.47 0.65 0.92 1.00"`,
    )
  })

  test('with an error that says how slow, and what the thresholds are', async () => {
    const health = latencyHealth({ ttftMs: 1000, itlMs: 30, onUnhealthy: 'refuse' })
    const { clock, limiter, call } = streaming(
      { requestsPerMinute: 6000, health },
      { ttftMs: 3000, itlMs: 10 },
    )
    const { failed } = await load(clock, call, 100, 60_000)
    const error = failed.at(-1) as ProviderUnhealthyError
    expect(error).toBeInstanceOf(ProviderUnhealthyError)
    expect(error).toBeInstanceOf(LimiterError)
    expect(error).toMatchObject({
      code: 'PROVIDER_UNHEALTHY',
      name: 'ProviderUnhealthyError',
      thresholds: { ttftMs: 1000, itlMs: 30 },
    })
    expect(error.averages.ttftMs).toBeGreaterThan(2000)
    expect(error.averages.itlMs).toBeCloseTo(10, 0)
    expect(error.share).toBeLessThan(0.2)
    expect(error.message).toMatch(
      /^'test': the provider is slow: the first token arrives after \d+ ms on average, the threshold is 1000 ms; the time between tokens is 10 ms on average, the threshold is 30 ms; \d+ % of new calls are sent$/,
    )
    expect(limiter.stats().rejected).toBe(failed.length)
    // A call that does not want to wait gets no ticket.
    expect([limiter.tryAcquire(), limiter.tryAcquire()]).toContain(undefined)
  })

  test('needs no rate, and does not touch the one there is', async () => {
    const health = latencyHealth({ durationMs: 1000, onUnhealthy: 'refuse' })
    const { clock, limiter } = rig({ maxConcurrent: 100, health }, steadyClock())
    await load(clock, () => limiter.run(() => clock.sleep(5000)), 500, 60_000)
    expect(limiter.stats().health!.share).toBeLessThan(0.2)
    // In line already, or refused and parked: they have been let in.
    expect(limiter.waitTime()).toBe(0)
  })

  test('those who wait already stay', async () => {
    const health = latencyHealth({ durationMs: 1000, onUnhealthy: 'refuse' })
    const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1, health }, steadyClock())
    const early = Array.from({ length: 30 }, () => fate(limiter.run(() => clock.sleep(5000))))
    await clock.runAll()
    expect(early.filter(({ now }) => now.startsWith('error'))).toEqual([])
  })
})
