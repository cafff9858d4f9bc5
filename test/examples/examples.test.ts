// Each example runs as a program of its own, without a key, and says what it should.

import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'
import { POST } from '../../examples/chat-nextjs.ts'
import { startWorker } from '../runtimes/workerd/harness.ts'

const ROOT = join(import.meta.dirname, '../..')
const NODE = ['--import', join(ROOT, 'test/support/sources.ts')]
const path = (name: string) => join(ROOT, `examples/${name}.ts`)
const env = { ...process.env, OPENAI_API_KEY: '', PORT: '0' }

const run = async (name: string, ...args: string[]) =>
  (await promisify(execFile)(process.execPath, [...NODE, path(name), ...args], { env, cwd: ROOT })).stdout

const slow = { timeout: 60_000 }

test('a job shows its progress, and goes on where it stopped', slow, async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'llmiter-example-')), 'results.jsonl')
  expect(await run('batch', file, '20')).toMatch(/10 of 20.*done \.+ 20: 20 answered, 0 failed\n/s)
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  expect(new Set(lines.map((line) => (JSON.parse(line) as { key: number }).key)).size).toBe(20)
  // The last line was cut off.
  writeFileSync(file, lines.slice(0, 12).join('\n') + '\n' + lines[12]!.slice(0, 5) + '\n')
  expect(await run('batch', file, '20')).toContain('8: 8 answered, 0 failed; 12 skipped')
})

test.each([
  ['embeddings', /1000 vectors of \d+ numbers, \d+ tokens in 10 requests\n0 requests were refused/],
  ['two-providers', /40 calls, all answered: 20 by the first, 20 by the second provider/],
  ['langchain', /30 answers, \d+ refused/],
  ['gateway', /(python: 5 answers\n){3}curl: 1 answer\nthe provider answered 16 calls\n/],
])('%s', slow, async (name, expected) => {
  expect(await run(name)).toMatch(expected)
})

test('the server that counts in Redis says what to start when there is none', slow, async () => {
  const none = { ...env, REDIS_URL: 'redis://127.0.0.1:1' }
  const ended = promisify(execFile)(process.execPath, [...NODE, path('api-server')], { env: none, cwd: ROOT })
  await expect(ended).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /There is no Redis at redis:..127.0.0.1:1 .*\n {2}redis-server --port 6379/,
    ),
  })
})

test('a chat is streamed, and ends when its reader leaves', slow, async () => {
  const server = spawn(process.execPath, [...NODE, path('chat-express')], { env, cwd: ROOT })
  let said = ''
  server.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  try {
    await expect.poll(() => said, { timeout: 30_000 }).toMatch(/curl -N '.*'/)
    const url = /curl -N '(.*)'/.exec(said)![1]!
    expect(new URL(url).hostname).toBe('127.0.0.1')
    const left = new AbortController()
    const response = await fetch(url, { signal: left.signal })
    const { value } = await response.body!.getReader().read()
    expect(value!.length).toBeGreaterThan(0)
    left.abort()
    await expect.poll(() => said, { timeout: 30_000 }).toContain('the reader left, and the call ended')
  } finally {
    server.kill()
  }
})

const providerOf = (tokensPerSecond: number) =>
  startHttpProvider({
    ...{ model: new TokenBucketProvider({ requestsPerMinute: 6000 }), answerTokens: 200, tokensPerSecond },
  })

test('a route of Next.js streams a chat, and ends the call when its reader leaves', slow, async () => {
  const provider = await providerOf(50)
  vi.stubEnv('OPENAI_BASE_URL', provider.url)
  vi.stubEnv('OPENAI_API_KEY', 'any')
  try {
    const body = JSON.stringify({ q: 'Hello' })
    const { body: stream, status } = await POST(
      new Request('http://localhost/api/chat', { method: 'POST', body }),
    )
    expect(status).toBe(200)
    const reader = stream!.getReader()
    let text = ''
    while (text === '') text += new TextDecoder().decode((await reader.read()).value)
    expect(text).toBe('the ')
    await reader.cancel()
    await expect.poll(() => provider.requests.log[0]?.left, { timeout: 30_000 }).toBe(true)
  } finally {
    vi.unstubAllEnvs()
    await provider.close()
  }
})

test('a Cloudflare Worker answers all at the pace of one limiter', slow, async () => {
  const provider = await providerOf(1e6)
  const entry = new URL('../../examples/worker.ts', import.meta.url)
  const worker = await startWorker(entry, '2026-04-26', {
    OPENAI_BASE_URL: provider.url,
    OPENAI_API_KEY: 'any',
  })
  try {
    const answers = await Promise.all([1, 2, 3, 4].map((i) => worker.get(`/?q=${i}`)))
    for (const answer of answers) expect(answer).toMatch(/^the sun and/)
    expect(provider.requests.byStatus[200]).toBe(4)
  } finally {
    await worker.dispose()
    await provider.close()
  }
})

test('a job writes the log that llmiter watch reads', slow, async () => {
  const said = await run('watch-job', mkdtempSync(join(tmpdir(), 'llmiter-example-')), '20')
  expect(said).toMatch(/20 answers\n$/)
  const file = /npx llmiter watch (.*)\n/.exec(said)![1]!
  const records = readFileSync(file, 'utf8').trim().split('\n')
  const issued = records.map((line) => (JSON.parse(line) as { issued?: number }).issued ?? 0)
  expect(issued.reduce((a, b) => a + b)).toBe(20)
})
