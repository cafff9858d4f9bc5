// What happens when one side goes away: the provider, or the gateway itself.

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Reply } from '../clients/server.ts'
import { sse } from '../clients/server.ts'
import { ask, type Rig, startRig } from './rig.ts'

const ROOT = join(import.meta.dirname, '../..')
const body = { model: 'm', stream: true }

let rig: Rig
beforeEach(async () => {
  rig = await startRig()
})
afterEach(() => rig.close())

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
  let child: ChildProcess | undefined
  afterEach(() => void child?.kill('SIGKILL'))

  /** The gateway as a program of its own. */
  async function start(...args: string[]) {
    const program = [join(ROOT, 'test/support/sources.ts'), join(ROOT, 'src/cli/llmiter.ts')]
    const env = {
      ...process.env,
      OPENAI_API_KEY: 'sk-canary-of-the-command',
      OPENAI_BASE_URL: `${rig.server.url}/v1`,
    }
    const one = spawn(process.execPath, ['--import', program[0]!, program[1]!, 'gateway', ...args], { env })
    child = one
    let output = ''
    for (const stream of [one.stdout, one.stderr]) stream.on('data', (text) => (output += String(text)))
    const ended = new Promise<number | null>((resolve) => one.once('exit', resolve))
    return {
      ended,
      output: () => output,
      stop: (signal: NodeJS.Signals) => one.kill(signal),
      url: () => vi.waitFor(() => /OPENAI_BASE_URL=(\S+)\/v1/.exec(output)![1]!, { timeout: 15_000 }),
    }
  }

  test('told to end, lets streams and waiting calls end', { timeout: 40_000 }, async () => {
    const gateway = await start('--port', '0', '--requests-per-minute', '3000')
    const url = await gateway.url()
    rig.server.replies({ frames: sse({ n: 1 }, { n: 2 }, { n: 3 }, '[DONE]'), frameMs: 100 })
    const all = Array.from({ length: 60 }, () => ask(url, { body }))
    await vi.waitFor(() => expect(rig.server.seen.length).toBeGreaterThan(5))
    gateway.stop('SIGTERM')
    const answers = await Promise.all(all)
    expect(answers.filter(({ text }) => text.endsWith('data: [DONE]\n\n'))).toHaveLength(60)
    expect(await gateway.ended).toBe(0)
    await expect(ask(url)).rejects.toThrow('ECONNREFUSED')
    expect(gateway.output()).not.toContain('canary')
  })

  test('who waits for longer than the drain hears when to come back', { timeout: 40_000 }, async () => {
    const gateway = await start('--port', '0', '--requests-per-minute', '1', '--drain', '300ms')
    const url = await gateway.url()
    rig.server.replies({ body: {} })
    const answers = await Promise.all([
      ...Array.from({ length: 5 }, () => ask(url)),
      vi.waitFor(() => expect(rig.server.seen.length).toBeGreaterThan(0)).then(() => gateway.stop('SIGTERM')),
    ])
    const waited = answers.slice(0, 5).map((answer) => answer as Awaited<ReturnType<typeof ask>>)
    const refused = waited.filter(({ status }) => status === 503)
    expect(refused.length).toBeGreaterThan(0)
    expect(waited.filter(({ status }) => status === 200)).toHaveLength(5 - refused.length)
    for (const { headers } of refused)
      expect(headers).toMatchObject({ 'x-llmiter-error': 'shutting_down', 'retry-after': '1' })
    expect(await gateway.ended).toBe(0)
  })

  test('says what is wrong, and ends with 2', { timeout: 40_000 }, async () => {
    const wrong = await start('--requests-per-minute', 'many')
    expect(await wrong.ended).toBe(2)
    expect(wrong.output()).toContain("--requests-per-minute must be a number, got 'many'")
    const { port } = new URL(rig.server.url)
    const taken = await start('--port', port)
    expect(await taken.ended).toBe(1)
    expect(taken.output()).toContain(`port ${port} is in use`)
  })
})
