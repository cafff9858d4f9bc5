// Keys, budgets, and what is still known after the gateway was killed.

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { keys } from '../../src/cli/keys.ts'
import { KeyRing } from '../../src/gateway/key-ring.ts'
import { sse } from '../clients/server.ts'
import { ask, CANARY, type Rig, startProgram, rigForTest, statusOf } from './rig.ts'

const usage = { prompt_tokens: 100, completion_tokens: 100, total_tokens: 200 }
/** A call costs at most $0.02: 10,000 tokens of output, and a few bytes in. */
const prices = { m: { input: 0, output: 2 } }
const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }], max_tokens: 10_000 }
const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })

let rig: Rig
let state: string
beforeEach(async () => void ({ rig, state } = await rigForTest({ usage })))

describe('keys', () => {
  test('once a key exists, calls without one are refused; each SDK sends it as its API key', async () => {
    const { url } = await rig.gatewayOf({
      state,
      targets: [rig.targetOf(), rig.targetOf({ name: 'a', protocol: 'anthropic', baseUrl: rig.server.url })],
    })
    expect((await ask(url)).status).toBe(200)
    const { key, stored } = new KeyRing(state).add({ name: 'alice' })
    expect(key).toMatch(/^llmiter_[\w-]{8}_[\w-]{43}$/)
    const refused = await vi.waitFor(async () => {
      const answer = await ask(url)
      expect(answer.status).toBe(401)
      return answer
    })
    expect(refused.json()['error']).toMatchObject({ code: 'invalid_key' })
    const openai = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 })
    await openai.chat.completions.create({ model: 'm', messages: [] })
    const anthropic = new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0 })
    await anthropic.messages.create({ model: 'm', max_tokens: 1, messages: [] })
    expect((await ask(url, { path: `/v1beta/models/m:generateContent?key=${key}` })).status).toBe(404)
    expect(JSON.stringify(rig.server.seen)).not.toContain(key)
    const wrong = `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`
    expect((await ask(url, as(wrong))).status).toBe(401)
    const kept = readFileSync(join(state, 'keys.jsonl'), 'utf8')
    expect(kept).not.toContain(key.split('_').at(-1))
    expect(kept).toContain(stored.hash)
    expect(statSync(join(state, 'keys.jsonl')).mode & 0o777).toBe(0o600)
  })

  test('an expired one and a revoked one are refused, without a restart', async () => {
    const ring = new KeyRing(state)
    const short = ring.add({ name: 'short', expiresAt: Date.now() - 1 }).key
    const good = ring.add({ name: 'good' }).key
    const { url } = await rig.gatewayOf({ state })
    expect((await ask(url, as(short))).status).toBe(401)
    expect((await ask(url, as(good))).status).toBe(200)
    new KeyRing(state).revoke('good')
    await vi.waitFor(async () => expect((await ask(url, as(good))).status).toBe(401))
  })

  test('an own limit of a key holds back its own calls alone', async () => {
    const ring = new KeyRing(state)
    const slow = ring.add({ name: 'slow', limits: { requestsPerMinute: 1, burst: 1 } }).key
    const free = ring.add({ name: 'free' }).key
    const { url } = await rig.gatewayOf({ state })
    const now = (key: string) => ask(url, { headers: { ...as(key).headers, 'x-llmiter-max-wait': '1s' } })
    expect((await now(slow)).status).toBe(200)
    const second = await now(slow)
    expect([second.status, second.headers['x-llmiter-error']]).toEqual([429, 'wait_too_long'])
    expect((await now(free)).status).toBe(200)
    expect((await now(free)).status).toBe(200)
  })

  test('add, list, revoke from the command line', async () => {
    const run = async (...words: string[]) => {
      let output = ''
      vi.spyOn(console, 'log').mockImplementation((text) => (output += `${String(text)}\n`))
      vi.spyOn(console, 'error').mockImplementation(() => {})
      const code = await keys([...words, '--state', state])
      vi.restoreAllMocks()
      return { code, output }
    }
    const added = await run('add', '--name', 'alice', '--usd', '5', '--per', 'month', '--expires', '30d')
    expect([added.code, added.output]).toEqual([0, expect.stringMatching(/^llmiter_\S+\n$/)])
    const listed = await run('list')
    expect(listed.output).toMatch(/alice {2}until \d{4}-\d\d-\d\d {2}\{"usd":5,"per":"month"\}/)
    expect(listed.output).not.toContain(added.output.trim())
    expect((await run('revoke', 'alice')).output).toContain('of alice is revoked')
    expect((await run('revoke', 'nobody')).code).toBe(2)
    expect((await run('add', '--name', 'x', '--usd', '5', '--per', 'fortnight')).code).toBe(2)
  })
})

describe('budgets', () => {
  test('100 calls at once of up to 2 cents: no more than a dollar is spent, and the others are a 402', async () => {
    const { key } = new KeyRing(state).add({ name: 'alice', budgets: [{ usd: 1, per: 'day' }] })
    rig.server.replies({ body: { usage: { prompt_tokens: 1, completion_tokens: 10_000 } }, delayMs: 100 })
    const { url } = await rig.gatewayOf({ state, prices })
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(url, { ...as(key), body })))
    const refused = answers.filter(({ status }) => status === 402)
    expect(rig.server.seen).toHaveLength(50)
    expect(refused).toHaveLength(50)
    expect(refused[0]!.headers).toMatchObject({
      'x-should-retry': 'false',
      'x-llmiter-error': 'budget_exceeded',
    })
    expect(refused[0]!.json()['error']!['message']).toMatch(/next period begins at \d{4}/)
    expect(Number(refused[0]!.headers['retry-after'])).toBeGreaterThan(0)
    expect(answers.find(({ status }) => status === 200)!.headers['x-llmiter-cost']).toBe('0.02')
  })

  test('a call with an unknown price is rejected, and not sent', async () => {
    const { url } = await rig.gatewayOf({ prices, budgets: [{ usd: 1, per: 'day' }] })
    const answer = await ask(url, { body: { ...body, model: 'no-such-model' } })
    expect([answer.status, answer.headers['x-llmiter-error']]).toEqual([400, 'unknown_price'])
    expect(rig.server.seen).toEqual([])
  })

  test('whatever path is asked, it counts', async () => {
    const { url } = await rig.gatewayOf({ budgets: [{ requests: 3, per: 'day' }] })
    const paths = ['/v1/models', '/v1/files', '/v1/some/new/path', '/v1/models']
    const statuses = []
    for (const path of paths) statuses.push((await ask(url, { path, method: 'GET' })).status)
    expect(statuses).toEqual([200, 200, 200, 402])
  })

  test('what is used counts: of a whole stream what it tells, of one that was left what was seen, of an error nothing', async () => {
    const { url } = await rig.gatewayOf({ budgets: [{ tokens: 100_000, per: 'day' }] })
    const used = async () => (await statusOf(url)).budgets[0]!.amounts[0]!
    const stream = { ...body, stream: true, max_tokens: 1000 }
    rig.server.replies({ frames: sse({ choices: [{}] }, { choices: [], usage }, '[DONE]') })
    await ask(url, { body: stream })
    expect(await used()).toMatchObject({ used: 200, reserved: 0 })
    rig.server.replies({ status: 400, body: { error: { message: 'no' } } })
    await ask(url, { body: stream })
    expect(await used()).toMatchObject({ used: 200, reserved: 0 })
    rig.server.replies({
      frames: Array.from({ length: 200 }, () => 'data: {"choices":[{}]}\n\n'),
      frameMs: 20,
    })
    await ask(url, { body: stream, leaveAfterMs: 300 }).catch(() => {})
    await vi.waitFor(async () => expect((await used()).reserved).toBe(0))
    const { used: all } = await used()
    expect(all).toBeGreaterThan(205)
    expect(all).toBeLessThan(1200)
  })
})

test('the ledger tells whose calls were answered and refused, and what they used', async () => {
  const { key, stored } = new KeyRing(state).add({ name: 'alice', budgets: [{ requests: 1, per: 'day' }] })
  const told = { ...usage, prompt_tokens_details: { cached_tokens: 60 } }
  rig.server.replies({ body: { usage: told } })
  const running = await rig.gatewayOf({ state, prices: { m: { input: 1, output: 1 } } })
  const call = { headers: { ...as(key).headers, 'x-llmiter-tenant': 'acme' }, body }
  for (const status of [200, 402]) expect((await ask(running.url, call)).status).toBe(status)
  await running.close()
  const file = readdirSync(state).find((name) => name.startsWith('ledger-'))!
  const lines = readFileSync(join(state, file), 'utf8').trim().split('\n')
  const facts = { at: expect.any(Number) as number, key: stored.id, tenant: 'acme', model: 'm' }
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { of: 'sent', ...facts },
    {
      of: 'over',
      ...facts,
      target: 'first',
      status: 200,
      inputTokens: 100,
      outputTokens: 100,
      cachedTokens: 60,
      cost: 0.0002,
    },
    { of: 'refused', ...facts, status: 402, code: 'budget_exceeded' },
  ])
})

test(
  'killed at once and started again: budgets, keys and limits are as they were',
  { timeout: 60_000 },
  async () => {
    const { key } = new KeyRing(state).add({ name: 'alice', budgets: [{ requests: 5, per: 'year' }] })
    const config = join(state, 'llmiter.config.json')
    const target = {
      name: 'first',
      protocol: 'openai',
      apiKey: 'env:FIRST',
      baseUrl: `${rig.server.url}/v1`,
      limits: { requestsPerDay: 8 },
    }
    writeFileSync(config, JSON.stringify({ targets: [target], adminKey: 'env:ADMIN' }))
    const start = () =>
      startProgram(['gateway', '--port', '0', '--state', state, '--config', config], {
        FIRST: CANARY,
        ADMIN: 'sk-canary-admin',
      })
    const admin = { authorization: 'Bearer sk-canary-admin' }
    const first = start()
    let url = await first.url()
    for (let i = 0; i < 2; i++) expect((await ask(url, as(key))).status).toBe(200)
    rig.server.replies({ then: 'hang' })
    // In flight when the gateway dies, so it is unknown whether it was answered.
    ask(url, as(key)).catch(() => {})
    await vi.waitFor(() => expect(rig.server.seen).toHaveLength(3))
    const availableOf = async () => (await statusOf(url, admin)).targets[0]!.limiters[0]!.limits[0]!.available
    const before = await availableOf()
    await vi.waitFor(() => expect(readFileSync(join(state, 'state.json'), 'utf8')).toContain('taken'), {
      timeout: 5000,
    })
    first.stop('SIGKILL')
    await first.ended

    const second = start()
    url = await second.url()
    rig.server.replies({ body: { usage } })
    const statuses = []
    for (let i = 0; i < 3; i++) statuses.push((await ask(url, as(key))).status)
    expect(statuses).toEqual([200, 200, 402])
    expect(await availableOf()).toBe(before - 2)
    const lines = readdirSync(state)
      .filter((name) => name.startsWith('ledger-'))
      .flatMap((name) => readFileSync(join(state, name), 'utf8').trim().split('\n'))
    expect(
      lines.map((line) => (JSON.parse(line) as { of: string }).of).filter((of) => of === 'over'),
    ).toHaveLength(4)
    const metrics = await ask(url, { path: '/-/metrics', method: 'GET', headers: admin })
    expect(metrics.text).toContain('llmiter_gateway_tries_total{target="first",status="200"} 2')
    expect((await ask(url, { path: '/-/status', method: 'GET' })).status).toBe(401)
    expect((await ask(url, { path: '/-/status', method: 'GET', ...as(key) })).status).toBe(401)
    second.stop('SIGTERM')
    expect(await second.ended).toBe(0)
    const everything = [
      ...lines,
      metrics.text,
      first.output(),
      first.errors(),
      second.output(),
      second.errors(),
      readFileSync(join(state, 'state.json'), 'utf8'),
    ]
    for (const secret of ['canary', key]) expect(everything.join('\n')).not.toContain(secret)
  },
)
