/** The virtual clock: every timer at its moment, everything settled in between, and fast. */
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { MAX_TIMER_MS } from '../../src/lib/units.ts'
import { seededRandom, VirtualClock } from '../../src/testing/index.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

function transcriber(clock: VirtualClock) {
  const lines: string[] = []
  return { lines, note: (what: string) => () => void lines.push(`${what}${clock.now()}`) }
}

describe('VirtualClock', () => {
  test('fires timers at their moment, equal ones in the order they were armed', async () => {
    const clock = new VirtualClock()
    const { lines, note } = transcriber(clock)
    clock.setTimer(note('c'), 20)
    clock.setTimer(note('a'), 10)
    clock.setTimer(note('d'), 20)
    clock.setTimer(note('b'), 10)
    await clock.advance(19)
    expect(lines).toEqual(['a10', 'b10'])
    expect(clock.now()).toBe(19)
    await clock.runAll()
    expect(lines).toEqual(['a10', 'b10', 'c20', 'd20'])
    expect(clock.now()).toBe(20)
  })

  test('promise chains settle before time moves, and the timers they arm take their turn', async () => {
    const clock = new VirtualClock()
    const { lines, note } = transcriber(clock)
    clock.setTimer(note('late'), 6)
    void (async () => {
      await clock.sleep(5)
      for (let hop = 0; hop < 1000; hop++) await Promise.resolve()
      note('hops')()
      await clock.sleep(0)
      note('slept')()
    })()
    await clock.advance(10)
    expect(lines).toEqual(['hops5', 'slept5', 'late6'])
  })

  test('counts pending timers; a cancelled one never fires, whenever and however often it is cancelled', async () => {
    const clock = new VirtualClock()
    const fired = vi.fn()
    const cancels = [1, 2, 3, 4, 5].map((ms) => clock.setTimer(() => fired(ms), ms))
    expect(clock.pendingTimers).toBe(5)
    cancels[0]!()
    cancels[3]!()
    cancels[3]!()
    expect(clock.pendingTimers).toBe(3)
    await clock.runAll()
    expect(fired.mock.calls.flat()).toEqual([2, 3, 5])
    cancels[1]!()
    expect(clock.pendingTimers).toBe(0)
  })

  test('runAll stops at untilMs when a timer re-arms itself for ever', async () => {
    const clock = new VirtualClock()
    let beats = 0
    const beat = () => {
      beats++
      clock.setTimer(beat, 10)
    }
    beat()
    await clock.runAll({ untilMs: 100 })
    expect([beats, clock.now(), clock.pendingTimers]).toEqual([11, 100, 1])
  })

  test('timers may be late, by a constant or by chance', async () => {
    const random = seededRandom(1)
    for (const lateMs of [7, () => 7 * random()]) {
      const clock = new VirtualClock({ lateMs })
      await Promise.all([clock.sleep(10), clock.runAll()])
      expect(clock.now()).toBeGreaterThan(10)
      expect(clock.now()).toBeLessThanOrEqual(17)
    }
  })

  test('wall time goes along with now, can be set and shifted, and timers do not care', async () => {
    const clock = new VirtualClock({ wall: 1_000_000 })
    const fired = vi.fn()
    clock.setTimer(fired, 100)
    await clock.advance(50)
    expect(clock.wall()).toBe(1_000_050)
    clock.setWall(5_000)
    clock.shiftWall(-1_000)
    expect(clock.wall()).toBe(4_000)
    await clock.advance(50)
    expect(clock.wall()).toBe(4_050)
    expect(fired).toHaveBeenCalledOnce()
  })

  test('a timer is never longer than a real one can be', async () => {
    const clock = new VirtualClock()
    await Promise.all([clock.sleep(Infinity), clock.runAll()])
    expect(clock.now()).toBe(MAX_TIMER_MS)
  })

  test('says what is wrong', async () => {
    const clock = new VirtualClock()
    await expect(clock.advance(-1)).rejects.toThrow('cannot become -1 ms')
    await expect(clock.advance(NaN)).rejects.toThrow('cannot become NaN ms')
    expect(() => clock.setTimer(() => {}, NaN)).toThrow('got NaN')
    expect(() => new VirtualClock({ wall: Infinity })).toThrow('wall must be a finite number, got Infinity')
    const first = clock.advance(1)
    await expect(clock.advance(1)).rejects.toThrow('already moving')
    await first
  })

  test('a callback that throws rejects the advance, and the clock goes on', async () => {
    const clock = new VirtualClock()
    clock.setTimer(() => {
      throw new Error('boom')
    }, 5)
    await expect(clock.advance(10)).rejects.toThrow('boom')
    expect(clock.now()).toBe(5)
    await clock.advance(5)
    expect(clock.now()).toBe(10)
  })

  test.each([[['setImmediate']], [['setImmediate', 'MessageChannel']]])(
    'works without %s',
    async (missing) => {
      for (const name of missing) vi.stubGlobal(name, undefined)
      const clock = new VirtualClock()
      const { lines, note } = transcriber(clock)
      void clock
        .sleep(1)
        .then(() => {})
        .then(note('x'))
      clock.setTimer(note('y'), 2)
      await clock.advance(3)
      expect(lines).toEqual(['x1', 'y2'])
    },
  )

  test('two hundred thousand steps, each with a promise chain, come to an end', async () => {
    const clock = new VirtualClock()
    let steps = 0
    void (async () => {
      for (; steps < 200_000; steps++) await clock.sleep(1)
    })()
    await clock.runAll()
    expect(steps).toBe(200_000)
  })

  test('property: whatever is armed and cancelled, the rest fires once, sorted by time, then by order', async () => {
    const timer = fc.record({ ms: fc.nat(20), cancelled: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(timer, { maxLength: 60, size: 'max' }), async (timers) => {
        const clock = new VirtualClock()
        const fired: number[] = []
        const cancels = timers.map(({ ms }, i) => clock.setTimer(() => fired.push(i), ms))
        timers.forEach(({ cancelled }, i) => cancelled && cancels[i]!())
        await clock.runAll()
        const expected = timers
          .map((timer, i) => ({ ...timer, i }))
          .filter(({ cancelled }) => !cancelled)
          .sort((a, b) => a.ms - b.ms || a.i - b.i)
        expect(fired).toEqual(expected.map(({ i }) => i))
        expect(clock.pendingTimers).toBe(0)
      }),
    )
  })
})

describe('seededRandom', () => {
  test('gives the same numbers for the same seed, spread evenly', () => {
    const numbers = (seed: number) => Array.from({ length: 10_000 }, seededRandom(seed))
    expect(numbers(42)).toEqual(numbers(42))
    expect(numbers(42)).not.toEqual(numbers(43))
    const drawn = numbers(42)
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...drawn)).toBeLessThan(1)
    for (let tenth = 0; tenth < 10; tenth++) {
      expect(Math.abs(drawn.filter((x) => Math.floor(x * 10) === tenth).length - 1000)).toBeLessThan(120)
    }
  })
})
