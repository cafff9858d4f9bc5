// AsyncLocalStorage: a call runs, retries and streams in the context of its caller, not of the code that made
// room.

import { AsyncLocalStorage } from 'node:async_hooks'
import { expect, test } from 'vitest'
import { withLimiter } from 'llmiter'
import { each, fate, rateLimited, refusal, rig } from '../../helpers.ts'

const storage = new AsyncLocalStorage<string>()
const here = () => storage.getStore() ?? 'nobody'

test('kept through waiting, parking, retrying and timeouts', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1, retry: { attempts: 2 } })
  const seen: string[] = []
  const ask = (name: string, errors: unknown[] = []) =>
    storage.run(name, () =>
      fate(
        limiter
          .run(
            () => {
              seen.push(`${name} in ${here()}`)
              if (errors.length > 0) throw errors.shift()
              return name
            },
            { timeoutMs: 1000 },
          )
          .then(() => seen.push(`${name} after ${here()}`)),
      ),
    )
  ask('a')
  ask('b', [rateLimited(500), rateLimited()])
  ask('c', [refusal(500)])
  ask('d')
  await clock.runAll()
  expect(seen.filter((line) => line[0] !== line.at(-1))).toEqual([])
  expect(seen).toHaveLength(4 + 3 + 4)
})

test('kept in acquire, also when another gives the ticket back', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const held = await limiter.acquire()
  const seen: string[] = []
  storage.run('waiting', () => {
    void limiter.acquire().then((ticket) => {
      seen.push(here())
      ticket.finish()
    })
  })
  storage.run('giving', () => held.finish())
  await clock.runAll()
  expect(seen).toEqual(['waiting'])
})

test('kept in the streams', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const seen: string[] = []
  const words = withLimiter.stream(async function* () {
    seen.push(here())
    yield 1
    await clock.sleep(10)
    seen.push(here())
    yield 2
  }, limiter)
  const read = (name: string) =>
    storage.run(name, async () => {
      await each(words(), () => seen.push(here()))
    })
  const both = Promise.all([read('a'), read('b')])
  await clock.runAll()
  await both
  expect(seen).toEqual(['a', 'a', 'a', 'a', 'b', 'b', 'b', 'b'])
})

test('a listener hears in whatever context; the calls do not mind', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  limiter.on('issue', () => storage.enterWith('listener'))
  const seen: string[] = []
  const calls = ['a', 'b'].map((name) => storage.run(name, () => limiter.run(() => seen.push(here()))))
  await clock.runAll()
  await Promise.all(calls)
  expect(seen[1]).toBe('b')
})
