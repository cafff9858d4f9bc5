// What happens when one side goes away: the provider, or the gateway itself.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { Reply } from '../clients/server.ts'
import { sse } from '../clients/server.ts'
import { tempDir } from '../support/temp.ts'
import { ask, type Rig, startProgram, rigForTest, statusOf } from './rig.ts'

const body = { model: 'm', stream: true }

let rig: Rig
beforeEach(async () => void ({ rig } = await rigForTest()))

describe('a stream that breaks', () => {
  const two = () => ({
    targets: [rig.targetOf(), rig.targetOf({ name: 'second', tier: 2, apiKey: 'sk-of-the-second' })],
  })
  const good = { frames: sse({ n: 1 }, { n: 2 }, '[DONE]') }
  const beforeContent: Record<string, Reply> = {
    'at once': { then: 'cut' },
    'with its head out': {
      frames: [': hello\n\n', 'event: response.created\ndata: {"type":"response.created"}\n\n'],
      then: 'cut',
    },
    'by an event': {
      frames: ['event: error\ndata: {"type":"error","error":{"type":"api_error","message":"sorry"}}\n\n'],
    },
    'with a 500': { status: 500, body: { error: { message: 'no' } } },
  }

  test.each(Object.entries(beforeContent))(
    'before its content, %s, goes on at the next target',
    async (_how, reply) => {
      const { url } = await rig.gatewayOf(two())
      rig.server.replies(({ headers }) =>
        headers.authorization === 'Bearer sk-of-the-second' ? good : reply,
      )
      const answer = await ask(url, { body })
      expect(answer.text).toBe(good.frames.join(''))
      expect(answer.headers).toMatchObject({ 'x-llmiter-target': 'second', 'x-llmiter-attempts': '2' })
    },
  )

  test('before its content, with no other target, is an error with a status', async () => {
    const { url } = await rig.gatewayOf()
    rig.server.replies({ frames: ['data: {"error":{"type":"server_error","message":"sorry"}}\n\n'] })
    const answer = await ask(url, { body })
    expect([answer.status, answer.json()['error']!['message']]).toEqual([500, 'sorry'])
    rig.server.replies({ then: 'cut' })
    expect((await ask(url, { body })).status).toBe(502)
  })

  test.each([
    ['openai', '/v1/chat/completions', 'data: {"error":{'],
    ['anthropic', '/v1/messages', 'event: error\ndata: {"type":"error","error":{"type":"api_error"'],
    ['gemini', '/v1beta/models/m:streamGenerateContent', 'data: {"error":{"code":502'],
  ] as const)(
    'after its content: all that came, then an error of %s, and no regular end',
    async (protocol, path, event) => {
      const { url } = await rig.gatewayOf({ targets: [rig.targetOf({ protocol, baseUrl: rig.server.url })] })
      const frames = sse(...Array.from({ length: 50 }, (_, n) => ({ n })))
      rig.server.replies({ frames: [...frames, 'data: {"half'], then: 'cut' })
      const answer = await ask(url, { body, path })
      expect(answer.text.startsWith(`${frames.join('')}data: {"half\n\n${event}`)).toBe(true)
      expect(answer.broke).toBe(true)
      expect(rig.server.seen).toHaveLength(1)
    },
  )
})

describe('the command', () => {
  const start = (...args: string[]) =>
    startProgram(['gateway', '--port', '0', '--state', tempDir(), ...args], {
      OPENAI_API_KEY: 'sk-canary-of-the-command',
      OPENAI_BASE_URL: `${rig.server.url}/v1`,
    })

  /** Waits until this many calls have arrived. */
  const arrived = (url: string, count: number) =>
    vi.waitFor(async () => expect((await statusOf(url)).inHand).toBe(count), { timeout: 10_000 })

  test('told to end, lets streams and waiting calls end', { timeout: 40_000 }, async () => {
    const logs = tempDir()
    const gateway = start('--requests-per-minute', '1200', '--log', logs)
    const url = await gateway.url()
    rig.server.replies({ frames: sse({ n: 1 }, { n: 2 }, { n: 3 }, '[DONE]'), frameMs: 100 })
    const all = Array.from({ length: 60 }, () => ask(url, { body }))
    await arrived(url, 60)
    gateway.stop('SIGTERM')
    const answers = await Promise.all(all)
    expect(answers.filter(({ text }) => text.endsWith('data: [DONE]\n\n'))).toHaveLength(60)
    expect(await gateway.ended).toBe(0)
    await expect(ask(url)).rejects.toThrow('ECONNREFUSED')
    const log = readdirSync(logs).flatMap((name) => readFileSync(join(logs, name), 'utf8').trim().split('\n'))
    const issued = log.map((line) => (JSON.parse(line) as { issued?: number }).issued ?? 0)
    expect(issued.reduce((sum, one) => sum + one, 0)).toBe(60)
    expect(gateway.output() + gateway.errors()).not.toContain('canary')
  })

  test('ends with npx, which keeps signals to itself', { timeout: 40_000 }, async () => {
    const env = { OPENAI_API_KEY: 'sk-x', OPENAI_BASE_URL: `${rig.server.url}/v1`, npm_command: 'exec' }
    const gateway = startProgram(['gateway', '--port', '0', '--state', tempDir()], env, true)
    const url = await gateway.url()
    rig.server.replies({ frames: sse({ n: 1 }, { n: 2 }, '[DONE]'), frameMs: 300 })
    const running = ask(url, { body })
    await arrived(url, 1)
    gateway.stop('SIGTERM')
    expect((await running).text).toContain('data: [DONE]')
    await gateway.ended
    await expect(ask(url)).rejects.toThrow('ECONNREFUSED')
  })

  test('who waits for longer than the drain hears when to come back', { timeout: 40_000 }, async () => {
    const gateway = start('--requests-per-minute', '1', '--drain', '300ms')
    const url = await gateway.url()
    rig.server.replies({ body: {} })
    expect((await ask(url)).status).toBe(200)
    const all = Array.from({ length: 5 }, () => ask(url))
    await arrived(url, 5)
    gateway.stop('SIGTERM')
    const waited = await Promise.all(all)
    const refused = waited.filter(({ status }) => status === 503)
    expect(refused).toHaveLength(5)
    for (const { headers } of refused)
      expect(headers).toMatchObject({ 'x-llmiter-error': 'shutting_down', 'retry-after': '1' })
    expect(await gateway.ended).toBe(0)
  })

  test('says what is wrong, and ends with 2', { timeout: 40_000 }, async () => {
    const wrong = start('--requests-per-minute', 'many')
    expect(await wrong.ended).toBe(2)
    expect(wrong.errors()).toContain("--requests-per-minute must be a number, got 'many'")
    const { port } = new URL(rig.server.url)
    const taken = startProgram(['gateway', '--port', port, '--state', tempDir()], { OPENAI_API_KEY: 'sk-x' })
    expect(await taken.ended).toBe(1)
    expect(taken.errors()).toContain(`port ${port} is in use`)
  })
})
