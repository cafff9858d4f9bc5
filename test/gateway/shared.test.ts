// Many gateways, one limit and one budget: through a real Redis.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { KeyRing } from '../../src/gateway/key-ring.ts'
import type { RunningGateway } from '../../src/gateway/server.ts'
import { haveRedis, type RedisServer, startRedis } from '../support/redis.ts'
import { ask, type Rig, startRig } from './rig.ts'

describe.skipIf(!haveRedis())('two gateways with one Redis', () => {
  let redis: RedisServer
  let rig: Rig
  const state = mkdtempSync(join(tmpdir(), 'llmiter-test-'))
  beforeAll(async () => {
    redis = await startRedis()
    rig = await startRig()
  })
  afterAll(async () => {
    await rig?.close()
    await redis?.close()
    rmSync(state, { recursive: true, force: true })
  })
  beforeEach(() => {
    rig.server.seen.length = 0
    rig.server.replies({ body: { usage: { prompt_tokens: 1, completion_tokens: 10_000 } } })
  })

  const prices = { m: { input: 0, output: 2 } }
  const body = { model: 'm', messages: [], max_tokens: 10_000 }
  const two = (prefix: string, more: object): Promise<[RunningGateway, RunningGateway]> => {
    const one = () => rig.gatewayOf({ redis: { url: redis.url, prefix, processes: 2 }, ...more })
    return Promise.all([one(), one()])
  }

  test('keep one limit', async () => {
    const limits = { requestsPerDay: 10 }
    const both = await two('limit:', { targets: [rig.targetOf({ limits })] })
    const calls = Array.from({ length: 30 }, (_, i) =>
      ask(both[i % 2]!.url, { headers: { 'x-llmiter-max-wait': '5s' } }),
    )
    const answers = await Promise.all(calls)
    // Each alone would send 10. A few may be held by the other one, so that they go unused for a moment.
    const sent = rig.server.seen.length
    expect(sent).toBeGreaterThan(5)
    expect(sent).toBeLessThanOrEqual(10)
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(sent)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]))
  })

  test('spend one budget, of all calls and of each key, and a new gateway knows what is spent', async () => {
    const ring = new KeyRing(state)
    const [alice, bob] = ['alice', 'bob'].map(
      (name) => ring.add({ name, budgets: [{ usd: 0.2, per: 'day' }] }).key,
    )
    const more = { state, prices, budgets: [{ usd: 0.3, per: 'day' }] }
    const both = await two('budget:', more)
    const call = (key: string, { url }: RunningGateway) =>
      ask(url, { headers: { authorization: `Bearer ${key}` }, body })
    const ofAlice = await Promise.all(Array.from({ length: 30 }, (_, i) => call(alice!, both[i % 2]!)))
    expect(ofAlice.filter(({ status }) => status === 200)).toHaveLength(10)
    expect(ofAlice.find(({ status }) => status === 402)!.headers).toMatchObject({
      'x-should-retry': 'false',
      'x-llmiter-error': 'budget_exceeded',
    })
    const ofBob = await Promise.all(Array.from({ length: 30 }, (_, i) => call(bob!, both[i % 2]!)))
    expect(ofBob.filter(({ status }) => status === 200)).toHaveLength(5)
    const [third] = await two('budget:', more)
    expect((await call(bob!, third)).status).toBe(402)
    expect(rig.server.seen).toHaveLength(15)
  })

  test('without Redis nothing is spent, and the answer says so', async () => {
    const other = await startRedis()
    const gateway = await rig.gatewayOf({ redis: { url: other.url }, budgets: [{ requests: 5, per: 'day' }] })
    expect((await ask(gateway.url)).status).toBe(200)
    await other.close()
    const answer = await ask(gateway.url)
    expect([answer.status, answer.headers['x-llmiter-error']]).toEqual([503, 'store_down'])
    expect(answer.headers['retry-after']).toBe('1')
  })
})
