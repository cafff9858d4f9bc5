// A limiter, and a provider whose streams are as slow as scripted.

import { type BucketRateLimiter, type LimiterOptions, withLimiter } from 'llmiter'
import type { VirtualClock } from 'llmiter/testing'
import { each, rig, seconds, steadyClock } from '../helpers.ts'

/** A provider whose streams begin after so long, and go on after so long each. */
export async function* tokens(clock: VirtualClock, ttftMs: number, itlMs = 10, count = 5) {
  await clock.sleep(ttftMs)
  yield { type: 'token', n: 0 }
  for (let n = 1; n < count; n++) {
    await clock.sleep(itlMs)
    yield { type: 'token', n }
  }
}

/** A limiter, and a call through it whose stream is read as fast as it comes. */
export function streaming(
  options: Partial<LimiterOptions>,
  latency: { ttftMs: number; itlMs?: number; count?: number },
) {
  const { clock, limiter } = rig(options, steadyClock())
  const ask = withLimiter(async () => tokens(clock, latency.ttftMs, latency.itlMs, latency.count), limiter)
  const call = async () => each(await ask())
  return { clock, limiter, call }
}

/** Asks once every `everyMs`, for so long, without waiting for the answers. */
export async function load(
  clock: VirtualClock,
  call: () => Promise<unknown>,
  everyMs: number,
  forMs: number,
) {
  const fates = { ok: 0, failed: [] as unknown[] }
  for (let ms = 0; ms < forMs; ms += everyMs) {
    call().then(
      () => fates.ok++,
      (error: unknown) => fates.failed.push(error),
    )
    await clock.advance(everyMs)
  }
  return fates
}

export const told = (limiter: BucketRateLimiter, clock: VirtualClock) => {
  const lines: string[] = []
  limiter.on('health', ({ state, share }) =>
    lines.push(`${seconds(clock.now())} ${state} ${share.toFixed(2)}`),
  )
  return lines
}
