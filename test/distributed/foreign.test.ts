// Other programs write to our keys and our channel, and other versions of llmiter use the same name.

import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { VERSION } from '../../src/distributed/protocol.ts'
import { haveRedis } from '../support/redis.ts'
import { crew, scene, sleep } from './fleet-harness.ts'

const unhandled: unknown[] = []
const note = (error: unknown) => unhandled.push(error)
beforeAll(() => {
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
})
afterAll(() => {
  process.off('unhandledRejection', note)
  process.off('uncaughtException', note)
})
afterEach(() => expect(unhandled.splice(0)).toEqual([]))

const MESSAGES = [
  'hello',
  '',
  'null',
  '7',
  '{}',
  '[]',
  '[null, 1]',
  '[{}, 1]',
  '[{"gen":"x","seq":1e9,"epoch":9,"gate":"closed"}, 1]',
  '[{"gen":"x","seq":1,"epoch":1,"gate":"ajar","closing":{"kind":"rate","blamed":[],"told":false,"single":true,"tries":0},"refusals":0,"quota":{"until":0,"known":false,"by":""},"until":0,"by":"","learned":{},"lesson":0},1]',
  '[{"gen":"x","seq":1,"epoch":1,"gate":"open","closing":{"kind":"rate","blamed":[],"told":false,"single":true,"tries":0},"refusals":0,"quota":{"until":0,"known":false,"by":""},"until":0,"by":"","learned":null,"lesson":0},1]',
  '[[[[',
]

type Spoil = [what: string, spoil: (admin: Redis) => Promise<unknown>]
const KEY = 'llmiter:{crew}'
const SPOILED: Spoil[] = [
  ['the state is a list', (admin) => admin.multi().del(KEY).rpush(KEY, 'a').exec()],
  ['the state is no JSON', (admin) => admin.set(KEY, 'hello')],
  ['the state is JSON of something else', (admin) => admin.set(KEY, JSON.stringify({ v: VERSION, news: 7 }))],
  ['the state is null', (admin) => admin.set(KEY, 'null')],
  ['the members are a string', (admin) => admin.set(`${KEY}:seen`, 'hello')],
  [
    'the permits are a list',
    (admin) => admin.multi().del(`${KEY}:permits`).rpush(`${KEY}:permits`, 'a').exec(),
  ],
  ['a log holds another member', (admin) => admin.zadd(`${KEY}:log:requests/2000`, -1, 'hello')],
]

describe.skipIf(!haveRedis())('in Redis', () => {
  test('a foreign message does no harm, and is reported once', async () => {
    await scene(async (server, admin) => {
      const { hands, start, stop, used } = crew(server.url)
      start()
      await sleep(1500)
      for (const message of MESSAGES) expect(await admin.publish(`${KEY}:news`, message)).toBe(4)
      expect(await used(1500)).toBeGreaterThan(0.9)
      for (const { said, errors } of hands) {
        expect(said.map(({ state }) => state)).toEqual(['foreign-data'])
        expect(String(said[0]!.error)).toContain(
          "on the channel 'llmiter:{crew}:news' is not from llmiter: 'hello'",
        )
        expect(errors).toEqual([])
      }
      stop()
    })
  })

  test.each(SPOILED)('%s: it is discarded and reported, and calls continue', async (_, spoil) => {
    await scene(async (server, admin) => {
      const { hands, start, stop, used } = crew(server.url, { kinds: ['ioredis', 'redis'] })
      start()
      await sleep(1000)
      await spoil(admin)
      await sleep(1000)
      expect(await used(1500)).toBeGreaterThan(0.9)
      const said = hands.flatMap(({ said: events }) => events)
      expect(said.map(({ state }) => state)).toContain('foreign-data')
      expect(said.every(({ state }) => state === 'foreign-data')).toBe(true)
      expect(String(said[0]!.error)).toContain(
        "the keys of the limit 'crew' held data that is not from llmiter",
      )
      stop()
    })
  })

  test('another version uses the name: the two share nothing, and it is reported', async () => {
    await scene(async (server, admin) => {
      const [seconds] = await admin.time()
      const state = JSON.stringify({ v: 99, base: Number(seconds) * 1000, seen: 1000, other: 'fields' })
      await admin.set(KEY, state)
      await admin.publish(`${KEY}:news`, '[{"of":"another version"},1,99]')
      const { hands, start, stop, used } = crew(server.url)
      start()
      await sleep(1500)
      expect(await used(1500)).toBeGreaterThan(0.9)
      expect(await admin.get(KEY)).toBe(state)
      expect(Number(await admin.exists(`${KEY}:v${VERSION}`))).toBe(1)
      for (const { said } of hands) {
        expect(said.map((event) => event.state)).toEqual(['version-differs'])
        expect(String(said[0]!.error)).toContain(`(protocol 99, here ${VERSION})`)
      }
      // The other version is gone for a minute: its state is replaced.
      await admin.set(KEY, JSON.stringify({ v: 99, base: (Number(seconds) - 61) * 1000, seen: 1000 }))
      await sleep(1500)
      expect(await used(1500)).toBeGreaterThan(0.9)
      expect(JSON.parse((await admin.get(KEY))!)).toMatchObject({ v: VERSION })
      stop()
    })
  })
})
