// The signal that a function receives: SDKs listen on it, and some never stop.

import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { fate, rateLimited, rig } from '../helpers.ts'

const reason = new Error('the user pressed stop')

// The SDKs of openai 6, Anthropic and Groq leave a listener on the signal of each attempt, and Node warns at the
// eleventh.
test('repeated refusals do not add listeners to any signal, and the last signal still receives the abort', async () => {
  const { clock, limiter } = rig({ recovery: { minMs: 10, maxMs: 20 } })
  const controller = new AbortController()
  const given = new Set<AbortSignal>()
  let tries = 0
  const heard: unknown[] = []
  const call = fate(
    limiter.run(
      (signal) => {
        given.add(signal!)
        signal!.addEventListener('abort', () => heard.push(signal!.reason))
        return ++tries < 30 ? Promise.reject(rateLimited(10)) : Promise.resolve({ body: 'still read' })
      },
      { signal: controller.signal },
    ),
  )
  await clock.runAll()
  expect([tries, call.now]).toEqual([30, 'ok: [object Object]'])
  for (const signal of given) expect(getEventListeners(signal, 'abort').length).toBeLessThan(10)
  controller.abort(reason)
  expect(heard.at(-1)).toBe(reason)
})

test('a call with a timeout: its answer may be read when it is over, and hears the abort then', async () => {
  const { clock, limiter } = rig({ timeoutMs: 1000 })
  const controller = new AbortController()
  let heard: unknown
  const body = await limiter.run(
    (signal) => {
      signal!.addEventListener('abort', () => (heard = signal!.reason))
      return { text: 'a long one' }
    },
    { signal: controller.signal },
  )
  await clock.advance(5000)
  expect(heard).toBeUndefined()
  controller.abort(reason)
  expect([heard, body.text]).toEqual([reason, 'a long one'])
})

test('a call with a timeout: when its answer is gone, nothing listens for it any more', async () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const { limiter } = rig({ timeoutMs: 1000, requestsPerMinute: 60_000 })
  const { signal } = new AbortController()
  const ask = (given: AbortSignal | undefined) => {
    given!.addEventListener('abort', () => {})
    return { text: 'short' }
  }
  await limiter.run(ask, { signal })
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  await expect
    .poll(
      () => {
        gc()
        return getEventListeners(signal, 'abort').length
      },
      // The time of garbage collection is not predictable.
      { timeout: 30_000 },
    )
    .toBe(0)
})
