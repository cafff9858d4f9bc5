// Which calls wait, for how long, and which goes first. Instead of a clock there is a target that takes one call
// at a time and answers on request of the test.

import { beforeEach, expect, test, vi } from 'vitest'
import { ask, type Rig, rigForTest } from './rig.ts'

let rig: Rig
beforeEach(async () => void ({ rig } = await rigForTest()))

const perMinute = (requestsPerMinute: number) => ({
  targets: [rig.targetOf({ limits: { requestsPerMinute, burst: 1 } })],
})
const oneAtATime = () => ({ targets: [rig.targetOf({ limits: { maxConcurrent: 1 } })] })
const who = () => rig.server.seen.map(({ body }) => body['user'])
const as = (user: string, headers: Record<string, string> = {}) => ({ body: { model: 'm', user }, headers })

test('a wait that would be too long is refused at once, with the true wait, and never sent', async () => {
  const { url } = await rig.gatewayOf(perMinute(6))
  await ask(url)
  const answer = await ask(url, { headers: { 'x-llmiter-max-wait': '2s' } })
  expect(answer.status).toBe(429)
  expect(answer.json()['error']).toMatchObject({ code: 'wait_too_long', type: 'rate_limit_error' })
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(5)
  expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(11)
  expect(rig.server.seen).toHaveLength(1)
})

test('0 is now or never', async () => {
  const { url } = await rig.gatewayOf(perMinute(1))
  const now = { headers: { 'x-llmiter-max-wait': '0' } }
  expect((await ask(url, now)).status).toBe(200)
  expect((await ask(url, now)).status).toBe(429)
})

test('a call that was sent is never ended by its deadline', async () => {
  const { url } = await rig.gatewayOf()
  rig.server.replies({ body: {}, delayMs: 150 })
  expect((await ask(url, { headers: { 'x-llmiter-max-wait': '50ms' } })).status).toBe(200)
})

test('a full queue is a 429, for calls and for bytes', async () => {
  const { url } = await rig.gatewayOf({ ...oneAtATime(), queue: { max: 1, maxBytes: 2000 } })
  rig.server.replies({ then: 'hang' })
  const leave = { leaveAfterMs: 1500 }
  const [first] = [ask(url, leave), await vi.waitFor(() => expect(rig.server.seen).toHaveLength(1))]
  const second = ask(url, leave)
  for (const left of [first, second]) left.catch(() => {})
  const third = await vi.waitFor(async () => {
    const answer = await ask(url, { leaveAfterMs: 300 })
    expect(answer.status).toBe(429)
    return answer
  })
  expect(third.json()['error']).toMatchObject({ code: 'queue_full' })
  expect(third.headers['x-llmiter-error']).toBe('queue_full')
  const large = await ask(url, { body: { text: 'x'.repeat(3000) } })
  expect([large.status, large.json()['error']!['code']]).toEqual([429, 'queue_full'])
  expect(rig.server.seen).toHaveLength(1)
})

test('priority first, then tenants in turns', async () => {
  const { url } = await rig.gatewayOf(oneAtATime())
  rig.server.replies({ body: {}, delayMs: 400 }, { body: {} })
  const all = [ask(url, as('first'))]
  await vi.waitFor(() => expect(rig.server.seen).toHaveLength(1))
  const inOrder = async (user: string, headers: Record<string, string>) => {
    all.push(ask(url, as(user, headers)))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await inOrder('a1', { 'x-llmiter-tenant': 'a' })
  await inOrder('a2', { 'x-llmiter-tenant': 'a' })
  await inOrder('b1', { 'x-llmiter-tenant': 'b' })
  await inOrder('urgent', { 'x-llmiter-priority': '5' })
  await Promise.all(all)
  expect(who()).toEqual(['first', 'urgent', 'a1', 'b1', 'a2'])
})

test('a call whose client leaves while it waits is never sent', async () => {
  const { url } = await rig.gatewayOf(oneAtATime())
  rig.server.replies({ body: {}, delayMs: 300 }, { body: {} })
  const first = ask(url, as('first'))
  await vi.waitFor(() => expect(rig.server.seen).toHaveLength(1))
  const left = ask(url, { ...as('left'), leaveAfterMs: 50 })
  const third = ask(url, as('third'))
  await expect(left).rejects.toThrow()
  await Promise.all([first, third])
  expect(who()).toEqual(['first', 'third'])
})

test('who leaves while its call runs ends it at the provider, plain or as a stream', async () => {
  const { url } = await rig.gatewayOf()
  rig.server.replies({ then: 'hang' })
  await expect(ask(url, { leaveAfterMs: 100 })).rejects.toThrow()
  await vi.waitFor(() => expect(rig.server.seen[0]!.left).toBe(true))
  rig.server.replies({ frames: Array.from({ length: 500 }, (_, i) => `data: {"n":${i}}\n\n`), frameMs: 10 })
  const half = await ask(url, { body: { model: 'm', stream: true }, leaveAfterMs: 200 }).catch(
    () => undefined,
  )
  expect(half?.text).not.toContain('"n":499')
  await vi.waitFor(() => expect(rig.server.seen[1]!.left).toBe(true))
})

test('streams that wait get comments, and their failure is an event', async () => {
  const { url } = await rig.gatewayOf({ ...oneAtATime(), waitComments: '30ms' })
  const body = { model: 'm', stream: true }
  rig.server.replies(
    { body: {}, delayMs: 200 },
    { frames: ['data: {}\n\n'] },
    { body: {}, delayMs: 200 },
    { status: 400, body: { error: { message: 'no' } } },
  )
  for (const end of ['data: {}\n\n', 'data: {"error":{"message":"no"}}\n\n']) {
    const [first, second] = [ask(url), ask(url, { body })]
    expect((await first).status).toBe(200)
    expect((await second).text).toMatch(/^(: waiting\n\n)+data: /)
    expect((await second).text.replaceAll(': waiting\n\n', '')).toBe(end)
  }
})
