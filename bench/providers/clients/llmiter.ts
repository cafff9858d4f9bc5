/**
 * llmiter through its public API: one `BucketRateLimiter`, and `run` for each call. An answer reaches it as
 * OpenAI's SDK would throw it: an error with `status`, `headers` and the body's error.
 */
import { BucketRateLimiter, withLimiter, type LimiterOptions } from '../../../src/index.ts'
import { memoryStore } from '../../../src/testing/index.ts'
import type { WireReply } from '../../../src/testing/world/wire.ts'
import type { Call, World } from '../world.ts'
import type { Client, ClientMaker, Setup } from './client.ts'

export function llmiter(world: World, { toldRpm, window, limiter, used = () => undefined }: Setup): Client {
  const options: LimiterOptions = {
    name: 'bench',
    clock: world.clientClock,
    limits: [{ of: 'requests', amount: toldRpm, per: '1m', ...(window && { window }) }],
    ...limiter,
  }
  const gate = new BucketRateLimiter(options)
  // The cost is the caller's estimate. The actual usage comes with the answer.
  const guessed = withLimiter((call: Call) => send(world, call), gate, {
    cost: ({ estimate }) => ({ requests: 1, ...estimate }),
    usage: (reply) => used(reply.body),
  })
  return {
    call(call) {
      if (call.estimate) return guessed(call)
      return gate.run(() => send(world, call), call.tenant ? { tenant: call.tenant } : undefined)
    },
    stop: () => gate.stop(),
  }
}

/**
 * Several processes that share the limit through a store, like that of `llmiter/redis`. Each is configured with
 * the whole limit.
 */
export const shared =
  (processes: number): ClientMaker =>
  (world, setup) =>
    fleet(processes, world, { ...setup, limiter: { ...setup.limiter, store: memoryStore() } })

/** Several processes without a store. Each is configured with its part of the limit. */
export const split =
  (processes: number): ClientMaker =>
  (world, setup) =>
    fleet(processes, world, { ...setup, toldRpm: setup.toldRpm / processes })

/** Several processes without a store. Each is configured with the whole limit. */
export const alone =
  (processes: number): ClientMaker =>
  (world, setup) =>
    fleet(processes, world, setup)

function fleet(processes: number, world: World, each: Setup): Client {
  const clients = Array.from({ length: processes }, () => llmiter(world, each))
  return {
    call: (call) => clients[call.process!]!.call(call),
    stop: () => clients.forEach((client) => client.stop()),
  }
}

export async function send(world: World, call: Call): Promise<Partial<WireReply>> {
  const reply = await world.send(call)
  const { status, headers, body } = reply
  // Most SDKs return an answer without its headers, and searching for them would take a quarter of this bench's
  // time.
  if (status === 200) return Object.keys(headers).length > 0 ? reply : { body }
  throw Object.assign(new Error(`${status}`), { status, headers, ...(body as object) })
}
