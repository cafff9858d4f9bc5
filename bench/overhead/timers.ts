/**
 * The number of timers set at the same time: none while idle, one while calls wait, whatever options they have.
 * The clock is virtual and counts. Each call has a `maxWaitMs`, and one of them is refused on the way.
 */
import { BucketRateLimiter } from '../../src/index.ts'
import { VirtualClock } from '../../src/testing/index.ts'
import type { Section } from '../table.ts'

class CountingClock extends VirtualClock {
  most = 0
  armed = 0

  override setTimer(fn: () => void, ms: number): () => void {
    const cancel = super.setTimer(fn, ms)
    this.armed++
    this.most = Math.max(this.most, this.pendingTimers)
    return cancel
  }
}

export async function timersSection(calls: number): Promise<Section> {
  const clock = new CountingClock()
  const limiter = new BucketRateLimiter({ name: 'bench', requestsPerMinute: 600, clock })
  const made = clock.pendingTimers

  await limiter.run(async () => 1)
  const afterOne = clock.pendingTimers

  let refusals = 0
  const results = Array.from({ length: calls }, (_, i) =>
    limiter.run(
      async () => {
        if (i === calls >> 1 && refusals++ === 0) throw Object.assign(new Error('slow down'), { status: 429 })
        return i
      },
      { maxWaitMs: 3_600_000 + i },
    ),
  )
  const waiting = clock.pendingTimers
  await Promise.all([clock.runAll({ untilMs: 7_200_000 }), ...results])
  const drained = clock.pendingTimers
  if (refusals !== 2) throw new Error(`the refused call should have run twice, it ran ${refusals} times`)

  const idle = Math.max(made, afterOne, drained)
  return {
    title: `g. Timers armed at once (${calls} calls at 600 a minute, a maxWaitMs each, one refused; virtual clock)`,
    columns: ['timers'],
    rows: [
      { name: 'just made', cells: [made] },
      { name: 'after a call that did not wait', cells: [afterOne] },
      { name: `${calls} calls waiting`, cells: [waiting] },
      { name: 'most at any moment', cells: [clock.most] },
      { name: 'all served', cells: [drained] },
      { name: 'armed in all, for each call', cells: [clock.armed / calls] },
    ],
    goals: [
      { what: 'idle', measured: idle, atMost: 0, unit: 'timers' },
      { what: 'waiting', measured: clock.most, atMost: 1, unit: 'timers' },
    ],
  }
}
