/**
 * OpenAI's SDK with its own retries and nothing else, as most programs use it: 50 workers take one call after the
 * other.
 *
 * It is the real package: its `fetch` leads into the world of the bench, and its sleeps use the virtual clock,
 * because it takes `setTimeout` from the globals (fakes.ts). When its retries are used up, the call is lost.
 */
import OpenAI from 'openai'
import type { Call, World } from '../world.ts'
import type { Client, ClientMaker } from './client.ts'

const WORKERS = 50

export const sdk =
  (maxRetries: number): ClientMaker =>
  (world) =>
    workers(WORKERS, sdkCalls(world, maxRetries))

/** Sends one call through the SDK immediately. */
export function sdkCalls(world: World, maxRetries: number): (call: Call) => Promise<unknown> {
  const calls = new Map<string, Call>()
  const openai = new OpenAI({
    apiKey: 'any',
    baseURL: 'http://provider/v1',
    maxRetries,
    logLevel: 'off',
    fetch: async (_url, init) => {
      const { input } = JSON.parse(init!.body as string) as { input: string }
      const { status, headers, body } = await world.send(calls.get(input)!)
      return new Response(JSON.stringify(body), {
        status,
        headers: { 'content-type': 'application/json', ...headers },
      })
    },
  })
  return async (call) => {
    const input = String(call.index)
    calls.set(input, call)
    try {
      return await openai.post('/embeddings', { body: { model: 'any', input } })
    } finally {
      calls.delete(input)
    }
  }
}

/** This many at once. The others wait in order of arrival. */
export function workers(count: number, work: (call: Call) => Promise<unknown>): Client {
  const line: (() => void)[] = []
  let first = 0
  let busy = 0
  return {
    async call(call) {
      if (busy >= count) await new Promise<void>((resolve) => line.push(resolve))
      else busy++
      try {
        return await work(call)
      } finally {
        const next = line[first]
        // A worker continues with the next call without a pause.
        if (next) {
          first++
          next()
        } else busy--
      }
    },
    stop: () => {},
  }
}
