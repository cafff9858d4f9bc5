/** The real clock: the globals are asked late, and what is missing is named. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { MAX_TIMER_MS } from '../../src/lib/units.ts'
import { systemClock } from '../../src/scheduler/clock.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

describe('systemClock', () => {
  test('tells monotonic and wall time', () => {
    const before = systemClock.now()
    expect(systemClock.now()).toBeGreaterThanOrEqual(before)
    expect(Math.abs(systemClock.wall() - Date.now())).toBeLessThan(1000)
  })

  test('fires a timer, and not one that was cancelled', async () => {
    const cancelled = vi.fn()
    systemClock.setTimer(cancelled, 1)()
    await new Promise<void>((resolve) => systemClock.setTimer(resolve, 3))
    expect(cancelled).not.toHaveBeenCalled()
  })

  test.each([
    [Infinity, MAX_TIMER_MS],
    [2 ** 40, MAX_TIMER_MS],
    [-5, 0],
    [1.2, 2],
  ])('a timer of %d ms is armed for %d ms', (asked, armed) => {
    const setTimeout = vi.fn(() => 1)
    vi.stubGlobal('setTimeout', setTimeout)
    systemClock.setTimer(() => {}, asked)
    expect(setTimeout).toHaveBeenCalledWith(expect.any(Function), armed)
  })

  test('a runtime without timers is told what is missing', () => {
    vi.stubGlobal('setTimeout', undefined)
    expect(() => systemClock.setTimer(() => {}, 1)).toThrow(/globalThis\.setTimeout, which is undefined/)
  })
})
