// What a gateway keeps, when the disk, the files or their owner do what they should not.

import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { gateway } from '../../src/cli/gateway.ts'
import { KeyRing } from '../../src/gateway/key-ring.ts'
import { sse } from '../clients/server.ts'
import { ask, CANARY, type Rig, startProgram, rigForTest, statusOf } from './rig.ts'

const usage = { prompt_tokens: 100, completion_tokens: 100 }
const prices = { m: { input: 0, output: 2 }, dear: { input: 0, output: 20 } }
const body = { model: 'm', messages: [], max_tokens: 10_000 }

/** A loaded machine takes its time. */
vi.setConfig({ testTimeout: 30_000 })

let rig: Rig
let state: string
beforeEach(async () => void ({ rig, state } = await rigForTest({ usage })))

const ledger = () =>
  join(
    state,
    readdirSync(state).find((name) => name.startsWith('ledger-'))!,
  )
const usedOf = async (url: string) => (await statusOf(url)).budgets[0]!.amounts[0]!

describe('the ledger', () => {
  const options = () => ({ state, budgets: [{ requests: 100, per: 'year' as const }] })

  test('a line that was cut off takes no other with it', async () => {
    const first = await rig.gatewayOf(options())
    await ask(first.url)
    await first.close()
    appendFileSync(ledger(), '{"of":"over","id":"x","used":{"requ')
    const second = await rig.gatewayOf(options())
    await ask(second.url)
    expect(await usedOf(second.url)).toMatchObject({ used: 2, reserved: 0 })
    await second.close()
    const third = await rig.gatewayOf(options())
    expect(await usedOf(third.url)).toMatchObject({ used: 2, reserved: 0 })
  })

  test('lines longer than what is read at once, and lines that are no JSON, are read or passed over', async () => {
    const first = await rig.gatewayOf(options())
    await ask(first.url)
    await first.close()
    const [sent, over] = readFileSync(ledger(), 'utf8').trim().split('\n')
    const long = JSON.stringify({ ...(JSON.parse(over!) as object), tenant: 'ü'.repeat(700_000) })
    writeFileSync(ledger(), `${sent}\n${long}\nnonsense\n\0\0\n${sent}\n${long}`)
    const second = await rig.gatewayOf(options())
    expect(await usedOf(second.url)).toMatchObject({ used: 2, reserved: 0 })
  })
})

describe('a new configuration while calls run', () => {
  const targets = () => [rig.targetOf({ limits: { requestsPerMinute: 60_000 } })]
  const budgets = (usd: number) => [{ usd, per: 'year' as const }]

  test('budgets that stay, and those that change, count what runs by what it comes to', async () => {
    const held: (() => void)[] = []
    const provider = createServer((_request, response) => {
      held.push(() => response.setHeader('content-type', 'application/json').end(JSON.stringify({ usage })))
    })
    await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void provider.close())
    const baseUrl = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`
    const options = (usd: number) => ({
      state,
      prices,
      budgets: budgets(usd),
      targets: [rig.targetOf({ baseUrl, limits: { requestsPerMinute: 60_000 } })],
    })
    const running = await rig.gatewayOf(options(1))
    const all = Array.from({ length: 40 }, () => ask(running.url, { body }))
    await vi.waitFor(() => expect(held).toHaveLength(40), 20_000)
    const reserved = async () => (await usedOf(running.url)).reserved
    expect(await reserved()).toBeCloseTo(0.8)
    running.gateway.reload(options(1))
    expect(await reserved()).toBeCloseTo(0.8)
    running.gateway.reload(options(2))
    expect(await reserved()).toBeCloseTo(0.8)
    for (const answer of held) answer()
    expect((await Promise.all(all)).every(({ status }) => status === 200)).toBe(true)
    const { used, reserved: left, limit } = await usedOf(running.url)
    expect([used, left, limit]).toEqual([expect.closeTo(40 * 0.0002, 9), 0, 2])
  })

  test('prices of the package are there for a key, a budget and a configuration that came later', async () => {
    const running = await rig.gatewayOf({ state, targets: targets() })
    const ask5 = (headers = {}) => ask(running.url, { headers, body: { ...body, model: 'gpt-4o-mini' } })
    expect((await ask5()).status).toBe(200)
    running.gateway.reload({ state, budgets: budgets(1), targets: targets() })
    expect((await ask5()).status).toBe(200)
    running.gateway.reload({ state, budgets: budgets(2), targets: targets() })
    const { key } = new KeyRing(state).add({ name: 'alice', budgets: [{ usd: 1, per: 'day' }] })
    await vi.waitFor(async () => expect((await ask5()).status).toBe(401), 10_000)
    const answer = await ask5({ authorization: `Bearer ${key}` })
    expect([answer.status, Number(answer.headers['x-llmiter-cost'])]).toEqual([
      200,
      expect.closeTo(0.000075, 9),
    ])
  })
})

describe('budgets', () => {
  const usd = { prices, budgets: [{ usd: 1, per: 'year' as const }] }

  test('lists and counts of tokens spend nothing', async () => {
    const { url } = await rig.gatewayOf({
      ...usd,
      targets: [rig.targetOf(), rig.targetOf({ name: 'a', protocol: 'anthropic', baseUrl: rig.server.url })],
    })
    rig.server.replies({ body: { input_tokens: 5 } })
    expect((await ask(url, { path: '/v1/models', method: 'GET' })).status).toBe(200)
    expect((await ask(url, { path: '/v1/messages/count_tokens' })).status).toBe(200)
    expect(await usedOf(url)).toMatchObject({ used: 0, reserved: 0 })
  })

  test.each([
    [
      'the path names the model, whatever the body says',
      '/v1beta/models/dear:generateContent',
      { model: 'm' },
    ],
    ['an encoded name is the same name', '/v1beta/models/de%61r:generateContent', {}],
  ])('%s', async (_what, path, more) => {
    const target = rig.targetOf({ protocol: 'gemini', baseUrl: rig.server.url })
    const { url } = await rig.gatewayOf({ ...usd, targets: [target] })
    rig.server.replies({ body: { usageMetadata: { promptTokenCount: 0, candidatesTokenCount: 1000 } } })
    const generationConfig = { maxOutputTokens: 1000 }
    expect((await ask(url, { path, body: { ...more, contents: [], generationConfig } })).status).toBe(200)
    expect((await usedOf(url)).used).toBeCloseTo(0.02, 9)
  })

  test.each([
    ['another field of that name', { metadata: { max_tokens: 1 }, max_tokens: 40_000 }],
    ['a bound in a message', { messages: [{ max_tokens: 1 }], max_tokens: undefined }],
    ['the smaller of two', { max_tokens: 1, max_completion_tokens: 40_000 }],
    ['a bound below nothing', { max_tokens: -1_000_000 }],
    ['a model in the metadata', { metadata: { model: 'embed' }, max_tokens: undefined }],
    ['several answers', { max_tokens: 10_000, n: 4 }],
  ])('%s does not make a call cheaper', async (_what, more) => {
    const { url } = await rig.gatewayOf({ ...usd, budgets: [{ usd: 0.03, per: 'year' }] })
    const answer = await ask(url, { body: { ...more, ...body, ...more } })
    expect(answer.status).toBe(402)
    expect(rig.server.seen).toEqual([])
  })

  test('fields of the route count: another model, and more output', async () => {
    const route = (override_params: object) => ({ default: { virtual_key: 'first', override_params } })
    for (const [params, cost] of [
      [{ model: 'dear' }, 0.002],
      [{ max_tokens: 600_000 }, undefined],
    ] as const) {
      const { url } = await rig.gatewayOf({ ...usd, routes: route(params) })
      const answer = await ask(url, { body })
      expect(answer.status).toBe(cost === undefined ? 402 : 200)
      if (cost !== undefined) expect((await usedOf(url)).used).toBeCloseTo(cost, 9)
    }
  })

  test.each([
    ['chats', 'openai', '/v1/chat/completions', { max_tokens: 10_000 }],
    ['responses', 'openai', '/v1/responses', { input: 'x', max_output_tokens: 10_000 }],
    ['whatever else', 'openai', '/v1/some/new/path', { max_tokens: 10_000 }],
    ['messages', 'anthropic', '/v1/messages', { messages: [], max_tokens: 10_000 }],
    [
      'Gemini',
      'gemini',
      '/v1beta/models/m:generateContent',
      { generationConfig: { maxOutputTokens: 10_000 } },
    ],
    [
      'streams of chats that tell nothing',
      'openai',
      '/v1/chat/completions',
      { max_tokens: 10_000, stream: true },
    ],
  ] as const)(
    '%s: 60 at once of up to 2 cents never spend more than the budget',
    async (_what, protocol, path, more) => {
      const baseUrl = protocol === 'openai' ? `${rig.server.url}/v1` : rig.server.url
      const limits = { requestsPerMinute: 60_000 }
      const { url } = await rig.gatewayOf({ ...usd, targets: [rig.targetOf({ protocol, baseUrl, limits })] })
      const bare = { body: { ok: true }, delayMs: 50 }
      rig.server.replies('stream' in more ? { frames: sse({ choices: [{}] }, '[DONE]') } : bare)
      const answers = await Promise.all(
        Array.from({ length: 60 }, () => ask(url, { path, body: { model: 'm', ...more } })),
      )
      const sent = answers.filter(({ status }) => status === 200)
      expect(sent.length).toBeGreaterThanOrEqual(49)
      expect(sent.length).toBeLessThanOrEqual(50)
      expect(answers.filter(({ status }) => status === 402)).toHaveLength(60 - sent.length)
      expect((await usedOf(url)).used).toBeLessThanOrEqual(1)
    },
  )
})

test('keys that several processes add at once are all there', { timeout: 60_000 }, async () => {
  const names = ['a', 'b', 'c']
  const all = names.map((name) => startProgram(['keys', 'add', '--name', name, '--state', state]))
  expect(await Promise.all(all.map(({ ended }) => ended))).toEqual([0, 0, 0])
  expect(new KeyRing(state).all.map(({ name }) => name).sort()).toEqual(names)
  expect(readdirSync(state)).toEqual(['keys.jsonl'])
})

test(
  'of two gateways that write one folder the second is told so, and one after a crash is not',
  { timeout: 60_000 },
  async () => {
    const env = { OPENAI_API_KEY: CANARY, OPENAI_BASE_URL: `${rig.server.url}/v1` }
    const killed = startProgram(['gateway', '--port', '0', '--state', state], env)
    const written = () => expect(readdirSync(state)).toContain('state.json')
    await ask(await killed.url())
    await vi.waitFor(written, 10_000)
    killed.stop('SIGKILL')
    await killed.ended
    const { all, end } = warnings()
    const first = await rig.gatewayOf({ state })
    const second = await rig.gatewayOf({ state })
    await ask(first.url)
    await first.close()
    expect(all).toEqual([])
    await ask(second.url)
    await second.close()
    expect(all).toEqual([
      expect.stringMatching(
        /another process has written .*state\.json: the two gateways do not share limits and budgets/,
      ),
    ])
    end()
  },
)

function warnings() {
  const all: string[] = []
  const spy = vi.spyOn(process, 'emitWarning').mockImplementation((text) => void all.push(String(text)))
  return { all, end: () => spy.mockRestore() }
}

describe('a folder that is not as it should be', () => {
  const start = () => rig.gatewayOf({ state, budgets: [{ requests: 10, per: 'day' }] })
  test.each(['{', 'null', '[]', '{"pools":7}', '{"pools":{"default\\nfirst":{"limiters":5}}}'])(
    'a snapshot %s is left out',
    async (text) => {
      const { end } = warnings()
      writeFileSync(join(state, 'state.json'), text)
      expect((await ask((await start()).url)).status).toBe(200)
      end()
    },
  )

  test('keys that cannot be read let nobody in at the start, and stay as they were later', async () => {
    const { all, end } = warnings()
    const { url } = await start()
    const { key } = new KeyRing(state).add({ name: 'alice' })
    const headers = { authorization: `Bearer ${key}` }
    await vi.waitFor(async () => expect((await ask(url)).status).toBe(401), 10_000)
    appendFileSync(join(state, 'keys.jsonl'), '{"id":')
    await vi.waitFor(() => ask(url).then(() => expect(all.join()).toContain('the keys stay as they were')))
    expect([(await ask(url)).status, (await ask(url, { headers })).status]).toEqual([401, 200])
    await expect(rig.gatewayOf({ state })).rejects.toThrow('keys.jsonl, line 2 cannot be read')
    end()
  })

  test('a folder that cannot be written costs no call, and is told once', async () => {
    const { all, end } = warnings()
    const { url } = await start()
    mkdirSync(join(state, `state.json.${process.pid}`))
    for (let i = 0; i < 3; i++) expect((await ask(url)).status).toBe(200)
    await vi.waitFor(
      () => expect(all.filter((text) => text.includes('cannot be written'))).toHaveLength(1),
      5000,
    )
    expect((await ask(url)).status).toBe(200)
    end()
  })

  test('a place where no folder can be is told by its name', async () => {
    const file = join(state, 'file')
    writeFileSync(file, '')
    const { code, errors } = await run('--port', '0', '--state', join(file, 'x'))
    expect(code).toBe(2)
    expect(errors).toContain(`state: the folder ${join(file, 'x')} cannot be made`)
  })
})

/** The command, as far as it gets without listening. */
async function run(...args: string[]) {
  vi.stubEnv('OPENAI_API_KEY', CANARY)
  const errors: string[] = []
  const spy = vi.spyOn(console, 'error').mockImplementation((text) => void errors.push(String(text)))
  const code = await gateway(args)
  spy.mockRestore()
  vi.unstubAllEnvs()
  return { code, errors: errors.join() }
}

test.each([
  ['--drain', 'soon', "drain must be a time above 0 (ms or like '1m'), got the string 'soon'"],
  ['--max-wait', '0s', "maxWait must be a time above 0 (ms or like '1m'), got the string '0s'"],
  ['--port', '65536', "--port must be a whole number from 0 to 65535, got '65536'"],
])('%s %s is told before it is needed', async (option, value, message) => {
  const { code, errors } = await run('--check', option, value)
  expect([code, errors]).toEqual([2, expect.stringContaining(message)])
})
