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

const via = (config: unknown, more: Record<string, string> = {}) =>
  ask(running.url, {
    headers: { 'x-portkey-config': typeof config === 'string' ? config : JSON.stringify(config), ...more },
    body: { model: 'm', temperature: 1 },
  })
const asked = () => rig.server.seen.map(({ headers }) => headers.authorization!.at(-1))
/** Each target answers as it is told; the others with 200. */
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

test('retry: as often as it says, after the statuses that it names', async () => {
  const config = (attempts: number) => ({
    targets: [{ virtual_key: 'a', retry: { attempts, on_status_codes: [418] } }],
  })
  rig.server.replies(status(418), status(418), { body: {} })
  expect((await via(config(2))).headers['x-portkey-retry-attempt-count']).toBe('2')
  rig.server.replies(status(418), status(418), { body: {} })
  expect((await via(config(1))).status).toBe(418)
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
  [{ targets: [{ virtual_key: 'a' }], cache: { mode: 'semantic' } }, "config has no option 'cache'"],
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
