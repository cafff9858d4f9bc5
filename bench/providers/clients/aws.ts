/**
 * The adaptive retry mode of AWS's SDKs: retries with backoff from a quota, and a token bucket whose rate follows
 * a cubic after each throttling. Implemented from its description:
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html, with the constants of its
 * implementation for JavaScript (`DefaultRateLimiter` and `StandardRetryStrategy` of smithy-typescript,
 * util-retry).
 *
 * - **Rate**: none until the first throttling. Then the rate is cut to β = 0.7 of the measured rate, and grows as
 *   C · (t − K)³ + the rate before, C = 0.4, K = ∛(rate · (1 − β) / C), t in seconds; never above twice the
 *   measured rate (in half seconds, smoothed by 0.8).
 * - **Retries**: three attempts, with random waits up to min(20 s, 0.5 s · 2ⁿ) after throttling (or the provider's
 *   wait), from 500 tokens: a retry takes 5, and a success returns them.
 */
import type { WireReply } from '../../../src/testing/world/wire.ts'
import type { World } from '../world.ts'
import type { ClientMaker } from './client.ts'
import { workers } from './sdk.ts'

const WORKERS = 50
const TRIES = 3
const BETA = 0.7
const SCALE = 0.4
const SMOOTH = 0.8
const LEAST_RATE = 0.5
const QUOTA = 500
const RETRY_COST = 5

export const aws: ClientMaker = (world) => {
  const rate = new AdaptiveRate(world)
  let quota = QUOTA
  return workers(WORKERS, async (call) => {
    let paid = 0
    for (let tries = 1; ; tries++) {
      await rate.token()
      const reply = await world.send(call)
      const throttled = reply.status !== 200
      rate.learn(throttled)
      if (!throttled) {
        quota = Math.min(QUOTA, quota + (paid || 1))
        return reply
      }
      if (tries === TRIES || quota < RETRY_COST) throw new Error(`refused: ${reply.status}`)
      quota -= paid = RETRY_COST
      const backoff = Math.random() * Math.min(20_000, 500 * 2 ** (tries - 1))
      await world.clock.sleep(Math.max(backoff, askedMs(reply)))
    }
  })
}

function askedMs({ headers }: WireReply): number {
  return Number(headers['retry-after-ms'] ?? Number(headers['retry-after'] ?? 0) * 1000)
}

class AdaptiveRate {
  readonly #world: World
  #enabled = false
  #rate = LEAST_RATE
  #capacity = 1
  #tokens = 0
  #filledAt = 0
  #rateBefore = 0
  #throttledAt = 0
  #measured = 0
  #counted = 0
  #bucketAt = 0
  #turn = Promise.resolve()

  constructor(world: World) {
    this.#world = world
  }

  /** One after the other, each checking again for a changed rate: a lock, as in botocore. */
  token(): Promise<void> {
    return (this.#turn = this.#turn.then(async () => {
      while (this.#enabled) {
        this.#fill()
        if (this.#tokens >= 1) {
          this.#tokens--
          return
        }
        await this.#world.clock.sleep((1000 * (1 - this.#tokens)) / this.#rate)
      }
    }))
  }

  learn(throttled: boolean): void {
    const now = this.#seconds()
    this.#measure(now)
    let wanted: number
    if (throttled) {
      this.#rateBefore = this.#enabled ? Math.min(this.#measured, this.#rate) : this.#measured
      this.#throttledAt = now
      this.#enabled = true
      wanted = this.#rateBefore * BETA
    } else {
      const k = Math.cbrt((this.#rateBefore * (1 - BETA)) / SCALE)
      wanted = SCALE * (now - this.#throttledAt - k) ** 3 + this.#rateBefore
    }
    this.#fill()
    const rate = Math.min(wanted, 2 * this.#measured)
    this.#rate = Math.max(rate, LEAST_RATE)
    this.#capacity = Math.max(rate, 1)
    this.#tokens = Math.min(this.#tokens, this.#capacity)
  }

  #seconds(): number {
    return this.#world.clock.now() / 1000
  }

  #fill(): void {
    const now = this.#seconds()
    this.#tokens = Math.min(this.#capacity, this.#tokens + (now - this.#filledAt) * this.#rate)
    this.#filledAt = now
  }

  #measure(now: number): void {
    const bucket = Math.floor(now * 2) / 2
    this.#counted++
    if (bucket <= this.#bucketAt) return
    this.#measured = (SMOOTH * this.#counted) / (bucket - this.#bucketAt) + (1 - SMOOTH) * this.#measured
    this.#counted = 0
    this.#bucketAt = bucket
  }
}
