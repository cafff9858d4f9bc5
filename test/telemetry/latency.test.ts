// What is measured of a stream, and what may be said of a provider's latency.

import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { type BucketRateLimiter, type LimiterEvent, withLimiter } from 'llmiter'
import { latencyHealth } from 'llmiter/health'
import { each, rig, steadyClock } from '../helpers.ts'
import { kinds, settled } from '../limiter/with-limiter/streams.ts'
import { streaming, tokens } from './streaming.ts'

describe('what is measured', () => {
  const measured = (limiter: BucketRateLimiter) => {
    const seen: LimiterEvent<'chunk'>[] = []
    limiter.on('chunk', (event) => seen.push(event))
    return () => seen.map(({ first, ms }) => `${first ? 'first' : 'next'} ${ms}`).join(', ')
  }

  test('the time to the first token, and between tokens', async () => {
    const { clock, limiter, call } = streaming({}, { ttftMs: 400, itlMs: 20, count: 3 })
    const seen = measured(limiter)
    void call()
    await clock.runAll()
    expect(seen()).toBe('first 400, next 20, next 20')
  })

  test('the wait in line is not the provider’s', async () => {
    const { clock, limiter, call } = streaming({ requestsPerMinute: 60, burst: 1 }, { ttftMs: 400, count: 1 })
    const seen = measured(limiter)
    void call()
    void call()
    await clock.runAll()
    expect(seen()).toBe('first 400, first 400')
  })

  test('a reader that takes its time is not the provider’s slowness', async () => {
    const { clock, limiter } = rig({}, steadyClock())
    const seen = measured(limiter)
    const stream = withLimiter(async () => tokens(clock, 400, 20, 3), limiter)
    void (async () => {
      const read = await stream()
      await clock.sleep(5000)
      await each(read, () => clock.sleep(1000))
    })()
    await clock.runAll()
    // A generator works only while its reader waits for it.
    expect(seen()).toBe('first 400, next 20, next 20')
  })

  test('what opens a stream is no token', async () => {
    const { clock, limiter } = rig({}, steadyClock())
    const seen = measured(limiter)
    async function* anthropic() {
      await clock.sleep(50)
      yield { type: 'message_start' }
      yield { type: 'ping' }
      await clock.sleep(300)
      yield { type: 'content_block_delta' }
      yield { type: 'message_stop' }
    }
    void withLimiter(async () => anthropic(), limiter)().then(each)
    await clock.runAll()
    expect(seen()).toBe('first 350')
  })

  test.each(kinds)('%s is measured', async (_, make) => {
    const { limiter } = rig({})
    const seen = measured(limiter)
    await each(await withLimiter(async () => make(), limiter)())
    await settled()
    expect(seen()).toBe('first 0, next 0, next 0')
  })

  test('a Node stream that flows is measured, and is not taken for one that nobody reads', async () => {
    const { clock, limiter } = rig({}, steadyClock())
    const seen = measured(limiter)
    const stuck: unknown[] = []
    limiter.on('stuck', (event) => stuck.push(event))
    const stream = new Readable({ objectMode: true, read() {} })
    const flowing = await withLimiter(async () => stream, limiter, { streamIdleMs: 1000 })()
    flowing.on('data', () => {})
    for (const ms of [400, 700, 800]) {
      await settled()
      await clock.advance(ms)
      stream.push(ms)
    }
    await settled()
    expect([seen(), stuck, limiter.stats().inFlight]).toEqual(['first 400, next 700, next 800', [], 1])
    stream.push(null)
    await settled()
    expect(limiter.stats().inFlight).toBe(0)
  })

  test('nobody listens and nothing is watched: nothing is measured', async () => {
    const { clock, limiter } = rig({}, steadyClock())
    const stream = (await withLimiter(async () => tokens(clock, 0), limiter)()) as AsyncGenerator
    const seen = measured(limiter)
    void each(stream)
    await clock.runAll()
    expect(seen()).toBe('')
  })
})

describe('options', () => {
  test.each([
    [{}, 'latencyHealth needs a threshold: ttftMs, itlMs or durationMs'],
    [
      { ttftMs: 0.5 },
      'ttftMs must be a number of ms from 10 to 600000, got 0.5: is it meant in seconds, 500?',
    ],
    [{ ttftMs: 2 }, 'ttftMs must be a number of ms from 10 to 600000, got 2: is it meant in seconds, 2000?'],
    [
      { ttftMs: 1_000_000 },
      'ttftMs must be a number of ms from 10 to 600000, got 1000000: is it meant in µs?',
    ],
    [{ ttftMs: '5ms' }, "ttftMs must be a number of ms from 10 to 600000, got the string '5ms'"],
    [{ ttftMs: 'soon' }, "got the string 'soon': a time is a number of ms, or like '2s'"],
    [{ itlMs: 0.03 }, 'itlMs must be a number of ms from 1 to 60000, got 0.03: is it meant in seconds, 30?'],
    [{ itlMs: NaN }, 'itlMs must be a number of ms from 1 to 60000, got NaN'],
    [{ durationMs: Infinity }, 'durationMs must be a number of ms from 10 to 3600000, got Infinity'],
    [{ ttftMs: 1000, timeConstantMs: 15 }, 'got 15: is it meant in seconds, 15000?'],
    [{ ttftMs: 30, itlMs: 1000 }, 'itlMs must be at most ttftMs (30), got 1000: are they swapped?'],
    [{ ttftMs: 1000, onUnhealthy: 'stop' }, "onUnhealthy must be 'slow' or 'refuse', got 'stop'"],
    [
      { ttft: 1000 },
      "latencyHealth has no option 'ttft' (did you mean 'ttftMs'?); known: ttftMs, itlMs, durationMs, timeConstantMs, onUnhealthy",
    ],
    [null, 'latencyHealth takes an object of options, got null'],
  ])('%j: %s', (options, message) => {
    expect(() => latencyHealth(options as never)).toThrow(TypeError)
    expect(() => latencyHealth(options as never)).toThrow(message)
  })

  test('health is made by latencyHealth, has a rate to lower, and stays', () => {
    expect(() => rig({ health: { ttftMs: 1000 } as never })).toThrow(
      'health must be made by latencyHealth() of llmiter/health, got {ttftMs}',
    )
    const health = latencyHealth({ ttftMs: 1000 })
    expect(() => rig({ maxConcurrent: 3, health })).toThrow(
      "health of 'test' has no rate to lower, because no limit is paced: give it a rate, or onUnhealthy: 'refuse'",
    )
    expect(() => rig({ requestsPerDay: 300, health })).toThrow('no limit is paced')
    const { limiter } = rig({ requestsPerMinute: 60, health })
    expect(() => limiter.update({ health } as never)).toThrow('health cannot be changed by update()')
    limiter.update({ requestsPerMinute: 120 })
    expect(limiter.stats().health).toMatchObject({ state: 'healthy' })
  })
})
