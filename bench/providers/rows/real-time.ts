/**
 * Real time, which virtual time cannot replace: timers fire late, and pacing that does not correct for the
 * lateness loses 5–12 % at hundreds of tickets a second. A backlog of empty calls, 5 s each, without a provider.
 */
import { BucketRateLimiter } from '../../../src/index.ts'
import { percentile, type Case, type Figures } from '../case.ts'

const SECONDS = 5

export function realTimeCases(): Case[] {
  return [100, 500].map((perSecond) => ({
    id: `real-time/${perSecond}`,
    section: 'real-time',
    title: `${perSecond} a second, ${SECONDS} s`,
    clients: ['llmiter'],
    quick: true,
    realTime: true,
    seeds: { full: 3, quick: 1 },
    run: () => realTimeRun(perSecond),
  }))
}

async function realTimeRun(perSecond: number): Promise<Figures> {
  // Burst and slow start do not affect the steady pace.
  const limiter = new BucketRateLimiter({
    name: 'real',
    requestsPerMinute: 60 * perSecond,
    burst: 1,
    ramp: false,
  })
  const issued: number[] = []
  for (let i = 0; i < perSecond * (SECONDS + 2); i++) {
    limiter.run(() => issued.push(performance.now())).catch(() => {})
  }
  await new Promise((resolve) => setTimeout(resolve, (SECONDS + 1) * 1000))
  limiter.stop()
  const from = issued[0]! + 500
  const inTime = issued.filter((at) => at >= from && at < from + SECONDS * 1000).length
  return { counts: {}, samples: { realPercent: [(100 * inTime) / (perSecond * SECONDS)] } }
}

export const realPercent = ({ samples }: Figures) => percentile(samples['realPercent'], 0)
