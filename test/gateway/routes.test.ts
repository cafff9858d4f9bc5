// Portkey's config objects as routes: of the operator's configuration, and brought by a call.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { RunningGateway } from '../../src/gateway/server.ts'
import type { Reply } from '../clients/server.ts'
import { ask, type Rig, startRig } from './rig.ts'

let rig: Rig
let running: RunningGateway
const routes = {
  careful: {
    strategy: { mode: 'fallback', on_status_codes: [404] },
    request_timeout: 5000,
    targets: [{ virtual_key: 'a' }, { provider: '@b', override_params: { model: 'other', temperature: 0 } }],
  },
  plans: {
    strategy: {
      mode: 'conditional',
      conditions: [
        { query: { 'metadata.plan': { $eq: 'paid' } }, then: 'good' },
        { query: { 'params.model': { $regex: '^mini' } }, then: 'cheap' },
      ],
      default: 'cheap',
    },
    targets: [
      { name: 'good', virtual_key: 'a' },
      { name: 'cheap', virtual_key: 'b' },
    ],
  },
}

const two = [{ virtual_key: 'a' }, { virtual_key: 'b' }]
const sticky = (hash_fields: string[], ttl?: number) => ({
  strategy: { mode: 'loadbalance', sticky_session: { hash_fields, ttl } },
  targets: two,
})
const when = (query: object) => ({
  strategy: { mode: 'conditional', conditions: [{ query, then: 'yes' }], default: 'no' },
  targets: [
    { name: 'yes', virtual_key: 'a' },
    { name: 'no', virtual_key: 'b' },
  ],
})

beforeAll(async () => {
  rig = await startRig()
  const targets = ['a', 'b', 'c'].map((name) => rig.targetOf({ name, apiKey: `sk-of-target-${name}` }))
  const other = rig.targetOf({ name: 'claude', protocol: 'anthropic', baseUrl: rig.server.url })
  running = await rig.gatewayOf({ targets: [...targets, other], routes })
})
afterAll(() => rig.close())
beforeEach(() => {
  rig.server.seen.length = 0
  rig.server.replies({ body: {} })
})

const via = (config: unknown, more: Record<string, string> = {}, body: object = {}) =>
  ask(running.url, {
    headers: { 'x-portkey-config': typeof config === 'string' ? config : JSON.stringify(config), ...more },
    body: { model: 'm', temperature: 1, ...body },
  })
const asked = () => rig.server.seen.map(({ headers }) => headers.authorization!.at(-1))
/** Each target answers as scripted. Others answer 200. */
const answers = (by: Record<string, Reply>) =>
  rig.server.replies(({ headers }) => by[headers.authorization!.at(-1)!] ?? { body: {} })
const status = (code: number): Reply => ({ status: code, body: { error: { message: 'no' } } })

describe('fallback', () => {
  test('goes on after the statuses that it names, with the fields of the target that answers', async () => {
    answers({ a: status(404) })
    const answer = await via('careful')
    expect(answer.headers).toMatchObject({
      'x-llmiter-target': 'b',
      'x-portkey-retry-attempt-count': '1',
      'x-portkey-last-used-option-index': 'routes.careful.targets[1]',
    })
    expect(rig.server.seen.map(({ body }) => body)).toEqual([
      { model: 'm', temperature: 1 },
      { model: 'other', temperature: 0 },
    ])
  })

  test('and after no other', async () => {
    answers({ a: status(422) })
    expect((await via('careful')).status).toBe(422)
    expect(asked()).toEqual(['a'])
  })

  test('without a list, after each error', async () => {
    answers({ a: status(422), b: status(400) })
    const config = {
      strategy: { mode: 'fallback' },
      targets: ['a', 'b', 'c'].map((virtual_key) => ({ virtual_key })),
    }
    expect((await via(config)).headers['x-portkey-last-used-option-index']).toBe('config.targets[2]')
    expect(asked()).toEqual(['a', 'b', 'c'])
  })

  test('the last error is passed on', async () => {
    answers({ a: status(404), b: status(404) })
    expect((await via('careful')).status).toBe(404)
    expect(asked()).toEqual(['a', 'b'])
  })
})

test('single, and one within another, with what they inherit', async () => {
  const config = {
    override_params: { user: 'above', top_p: 1 },
    targets: [
      { override_params: { user: 'within' }, strategy: { mode: 'single' }, targets: [{ virtual_key: 'c' }] },
    ],
  }
  await via(config)
  expect(rig.server.seen[0]!.body).toEqual({ model: 'm', temperature: 1, user: 'within', top_p: 1 })
  expect(asked()).toEqual(['c'])
})

test('loadbalance, by weight', async () => {
  const config = {
    strategy: { mode: 'loadbalance' },
    targets: [
      { virtual_key: 'a', weight: 3 },
      { virtual_key: 'b', weight: 1 },
      { virtual_key: 'c', weight: 0 },
    ],
  }
  for (let i = 0; i < 8; i++) await via(config)
  expect(asked().filter((name) => name === 'a')).toHaveLength(6)
  expect(asked().filter((name) => name === 'b')).toHaveLength(2)
})

test('conditional, by metadata and by the body', async () => {
  await via('plans', { 'x-portkey-metadata': '{"plan":"paid"}' })
  await via('plans', { 'x-portkey-metadata': '{"plan":"free"}' })
  await via('plans')
  expect(asked()).toEqual(['a', 'b', 'b'])
})

test('conditional, by any field of the body and by the path', async () => {
  const config = when({
    $and: [{ 'params.response_format.type': 'json_object' }, { 'params.top_p': { $lt: 0.5 } }],
  })
  await via(config, {}, { response_format: { type: 'json_object' }, top_p: 0.1 })
  await via(config, {}, { response_format: { type: 'json_object' }, top_p: 0.9 })
  await via(config)
  await via(when({ 'url.pathname': '/v1/chat/completions' }))
  await via(when({ 'url.pathname': { $in: ['/v1/embeddings'] } }))
  expect(asked()).toEqual(['a', 'b', 'b', 'a', 'b'])
})

describe('sticky_session', () => {
  const users = Array.from({ length: 12 }, (_, i) => `user ${i}`)

  test('calls of one user stay with one target, users are spread, and others are balanced', async () => {
    const config = sticky(['metadata.user', 'params.user'], 60)
    const ofUser = async (user: string) =>
      (await via(config, { 'x-portkey-metadata': JSON.stringify({ user }) })).headers['x-llmiter-target']
    const first = await Promise.all(users.map(ofUser))
    expect(new Set(first)).toEqual(new Set(['a', 'b']))
    expect(await Promise.all(users.map(ofUser))).toEqual(first)
    const byBody = [1, 2, 3].map(
      async () => (await via(config, {}, { user: 'me' })).headers['x-llmiter-target'],
    )
    expect(new Set(await Promise.all(byBody)).size).toBe(1)
    rig.server.seen.length = 0
    for (let i = 0; i < 12; i++) await via(config)
    expect(new Set(asked())).toEqual(new Set(['a', 'b']))
  })

  test('a target that fails is left, and a condition above leads to its own strategy', async () => {
    const balanced = sticky(['metadata.user'])
    const config = {
      ...when({ 'metadata.user': 'me' }),
      targets: [
        { name: 'yes', ...balanced },
        { name: 'no', virtual_key: 'c' },
      ],
    }
    const me = { 'x-portkey-metadata': '{"user":"me"}' }
    const home = (await via(config, me)).headers['x-llmiter-target'] as string
    answers({ [home]: status(500) })
    expect((await via(config, me)).headers['x-llmiter-target']).toBe(home === 'a' ? 'b' : 'a')
    expect((await via(config, { 'x-portkey-metadata': '{"user":"you"}' })).headers['x-llmiter-target']).toBe(
      'c',
    )
  })
})

describe('cb_config', () => {
  test('a target is left alone after so many failures of these statuses, and its strategy hands that down', async () => {
    const cb_config = { failure_threshold: 2, failure_status_codes: [418], cooldown_interval: 60_000 }
    const config = { strategy: { mode: 'fallback', cb_config }, targets: two }
    answers({ a: status(418) })
    for (let i = 0; i < 4; i++) expect((await via(config)).headers['x-llmiter-target']).toBe('b')
    expect(asked()).toEqual(['a', 'b', 'a', 'b', 'b', 'b'])
  })

  test('by percentage, after a least number of calls', async () => {
    const cb_config = { failure_threshold_percentage: 40, minimum_requests: 4, cooldown_interval: 60_000 }
    const config = {
      strategy: { mode: 'fallback' },
      targets: [{ virtual_key: 'a', cb_config }, { virtual_key: 'b' }],
    }
    for (const code of [200, 200, 200, 500, 500]) {
      answers({ a: code === 200 ? { body: {} } : status(code) })
      await via(config)
    }
    rig.server.seen.length = 0
    answers({})
    await via(config)
    expect(asked()).toEqual(['b'])
  })
})

describe('cache', () => {
  const config = (name: string) => ({
    cache: { mode: 'simple', max_age: 60 },
    targets: [{ virtual_key: 'a', override_params: { name } }],
  })
  const hits = (answer: Awaited<ReturnType<typeof via>>) => answer.headers['x-portkey-cache-status'] === 'HIT'

  test('identical calls get the kept answer; others, streams and errors do not', async () => {
    rig.server.replies({ body: { n: 1 }, headers: { 'x-request-id': 'req_1' } }, { body: { n: 2 } })
    const [first, second] = [await via(config('x')), await via(config('x'))]
    expect([hits(first), hits(second), second.text]).toEqual([false, true, first.text])
    expect(second.headers['x-request-id']).toBeUndefined()
    expect(hits(await via(config('x'), {}, { top_p: 1 }))).toBe(false)
    expect(hits(await via(config('x'), { 'x-llmiter-tenant': 'other' }))).toBe(false)
    expect(hits(await via(config('other route')))).toBe(false)
    expect(hits(await via(config('x'), { 'x-portkey-cache-force-refresh': 'true' }))).toBe(false)
    for (let i = 0; i < 2; i++) expect(hits(await via(config('x'), {}, { stream: true }))).toBe(false)
    rig.server.replies(status(400))
    for (let i = 0; i < 2; i++) expect((await via(config('x'), {}, { bad: 1 })).status).toBe(400)
    expect(rig.server.seen).toHaveLength(9)
  })

  test('a new configuration begins with an empty one', async () => {
    const options = (name: string) => ({
      targets: [rig.targetOf({ name: 'a' })],
      routes: { default: config(name) },
    })
    const other = await rig.gatewayOf(options('x'))
    const asks = async () => hits(await ask(other.url))
    expect([await asks(), await asks()]).toEqual([false, true])
    other.gateway.reload({ ...options('y') })
    expect([await asks(), await asks()]).toEqual([false, true])
    expect(rig.server.seen.map(({ body }) => body['name'])).toEqual(['x', 'y'])
  })
})

test('retry: as often as it says, after the statuses that it names', async () => {
  const config = (attempts: number) => ({
    targets: [{ virtual_key: 'a', retry: { attempts, on_status_codes: [418] } }],
  })
  rig.server.replies(status(418), status(418), { body: {} })
  expect((await via(config(2))).headers['x-portkey-retry-attempt-count']).toBe('2')
  rig.server.replies(status(418), status(418), { body: {} })
  expect((await via(config(1))).status).toBe(418)
})

test('a request_timeout that no timer can hold is a long one', async () => {
  expect((await via({ targets: [{ virtual_key: 'a', request_timeout: 1e99 }] })).status).toBe(200)
})

test('request_timeout is a 408', async () => {
  rig.server.replies({ then: 'hang' })
  const answer = await via({ targets: [{ virtual_key: 'a', request_timeout: 50 }] })
  expect([answer.status, answer.headers['x-llmiter-error']]).toEqual([408, 'request_timeout'])
})

test('a target of another protocol cannot answer', async () => {
  expect((await via({ targets: [{ virtual_key: 'claude' }] })).status).toBe(404)
})

test.each<[config: unknown, field: string]>([
  [
    { targets: [{ virtual_key: 'a', custom_host: 'http://x' }] },
    "config.targets[0] has no option 'custom_host'",
  ],
  [{ targets: [{ virtual_key: 'a', api_key: 'sk' }] }, "config.targets[0] has no option 'api_key'"],
  [{ targets: [{ virtual_key: 'a' }], input_guardrails: [] }, "config has no option 'input_guardrails'"],
  [
    { targets: [{ virtual_key: 'a' }], cache: { mode: 'semantic' } },
    "config.cache.mode must be 'simple', got 'semantic'",
  ],
  [{ targets: [{ virtual_key: 'a', cache: { mode: 'simple' } }] }, "config.targets[0] has no option 'cache'"],
  [
    { strategy: { mode: 'fallback', sticky_session: { hash_fields: ['metadata.user'] } }, targets: two },
    'config.strategy.sticky_session belongs to the mode loadbalance',
  ],
  [
    { strategy: { mode: 'fallback' }, targets: [{ virtual_key: 'c' }, sticky(['metadata.user'])] },
    'config.targets[1].strategy.sticky_session is served where the first target is chosen',
  ],
  [
    sticky(['headers.x']),
    "hash_fields[0]: a route can read metadata.NAME, params.NAME and url.pathname, got 'headers.x'",
  ],
  [
    { strategy: { mode: 'loadbalance' }, targets: [{ virtual_key: 'a', weight: 0 }] },
    'config.strategy: at least one target must have a weight above 0',
  ],
  [
    when({ 'params.model': { $in: 3 } }),
    'config.strategy.conditions[0].query.params.model.$in: $in and $nin need an array, got 3',
  ],
  [sticky([]), 'config.strategy.sticky_session.hash_fields must be a list of fields'],
  [
    { strategy: { mode: 'loadbalance', cb_config: { failure_treshold: 3 } }, targets: two },
    "config.strategy.cb_config has no option 'failure_treshold' (did you mean 'failure_threshold'?)",
  ],
  [
    { cb_config: { cooldown_interval: 30_000 }, targets: two },
    'config.cb_config must have failure_threshold or failure_threshold_percentage',
  ],
  [
    when({ 'request.user': 'x' }),
    'config.strategy.conditions[0].query.request.user: a route can read metadata.NAME',
  ],
  [
    { targets: [{ virtual_key: 'z' }] },
    "config.targets[0].virtual_key names no target: 'z'; known: a, b, c, claude",
  ],
  [{ targets: [] }, 'config.targets must be a list of at least one target'],
  [
    { strategy: { mode: 'random' }, targets: [{ virtual_key: 'a' }] },
    'config.strategy.mode must be single, fallback, loadbalance, conditional',
  ],
  [{ ...routes.plans, targets: [{ name: 'good', virtual_key: 'a' }] }, '$regex is served in routes'],
  ['{"targets":', 'x-portkey-config: '],
  ['nowhere', "there is no route 'nowhere'; known: default, careful, plans"],
])('%j is refused, and the field is named', async (config, field) => {
  const answer = await via(config)
  expect(answer.status).toBe(400)
  expect(answer.json()['error']!['message']).toContain(field)
  expect(rig.server.seen).toEqual([])
})
