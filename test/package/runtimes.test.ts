// The package as people install it, on everything it says it runs on. In CI on all of them; elsewhere on the Node
// at hand, and on what else is installed, so that `npm run test:package` downloads nothing.

import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { chromium, CHROMIUM_FLAGS } from '../support/chromium.ts'

const CI = Boolean(process.env.CI)
const app = inject('app')

const run = (command: string, args: string[], timeout = 60_000) =>
  execFileSync(command, args, {
    cwd: app,
    encoding: 'utf8',
    timeout,
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim()

/** The path of a runtime that npm has, exactly as npm runs it. It is downloaded once and kept in npm's cache. */
const fromNpm = (name: string, print: string[]) =>
  run('npx', ['--yes', '--package', name, ...print], 280_000)
    .split('\n')
    .at(-1)!

const node = (version: number) => fromNpm(`node@${version}`, ['node', '-p', 'process.execPath'])

interface Runtime {
  readonly name: string
  readonly find: () => string
  readonly version: RegExp
  readonly args?: readonly string[]
  /** Its file in examples/, a server, with what starts it on any free port. */
  readonly example?: { readonly file: string; readonly args: readonly string[] }
}

const runtimes: Runtime[] = [
  { name: 'Node at hand', find: () => process.execPath, version: /^v/ },
  ...[20, 22, 24].map((version) => ({
    name: `Node ${version}`,
    find: () => node(version),
    version: new RegExp(`^v${version}\\.`),
  })),
  {
    name: 'Bun',
    find: () => fromNpm('bun@1.4.5', ['bun', '-e', 'console.log(process.execPath)']),
    version: /^1\./,
    example: { file: 'bun.ts', args: [] },
  },
  {
    name: 'Deno',
    find: () => fromNpm('deno@2.9.6', ['deno', 'eval', 'console.log(Deno.execPath())']),
    version: /^deno 2\./,
    args: ['run', '--allow-all', '--no-remote', '--node-modules-dir=manual'],
    example: {
      file: 'deno.ts',
      args: [
        ...['serve', '--allow-net', '--allow-env', '--allow-read', '--no-remote'],
        ...['--node-modules-dir=manual', '--host', '127.0.0.1', '--port', '0'],
      ],
    },
  },
]

describe.each(CI ? runtimes : runtimes.slice(0, 1))('$name', ({ find, version, args = [], example }) => {
  let path: string
  beforeAll(() => {
    path = find()
  })

  test('is the one that was asked for', () => {
    expect(run(path, ['--version'])).toMatch(version)
  })

  test.each(['esm.mjs', 'cjs.cjs', 'both.mjs', 'sdks.mjs'])('runs %s', (program) => {
    expect(run(path, [...args, program])).toBe('ok')
  })

  test.runIf(example)('serves its example', async () => {
    const { file, args } = example!
    cpSync(join(import.meta.dirname, '../../examples', file), join(app, file))
    const server = spawn(path, [...args, file], {
      cwd: app,
      env: { ...process.env, OPENAI_API_KEY: '', PORT: '0' },
    })
    let said = ''
    for (const stream of [server.stdout, server.stderr])
      stream.on('data', (text: Buffer) => (said += text.toString()))
    try {
      const url = /http:\/\/127\.0\.0\.1:\d+/
      await expect.poll(() => said, { timeout: 60_000 }).toMatch(url)
      const answers = await Promise.all(
        [1, 2, 3].map(async (i) => (await fetch(`${url.exec(said)![0]}/?q=${i}`)).text()),
      )
      for (const answer of answers) expect(answer).toMatch(/^the sun and/)
    } finally {
      server.kill()
    }
  })
})

describe('a browser', () => {
  const bundle = async (file: string, entry: string) => {
    const { outputFiles, warnings } = await build({
      stdin: { contents: entry, resolveDir: app, sourcefile: file },
      bundle: true,
      write: false,
      // Without comments, whose words would be found.
      minifyWhitespace: true,
      format: 'iife',
      platform: 'browser',
      logLevel: 'silent',
      external: ['node:*'],
    })
    return { text: outputFiles[0]!.text, warnings }
  }

  test("bundles 'llmiter', which needs nothing of Node", async () => {
    const { text, warnings } = await bundle('main.js', "export * from 'llmiter'")
    expect(warnings).toEqual([])
    expect(text.match(/node:\w*|\brequire\(|\bprocess\.|\bBuffer\b/g)).toBe(null)
  })

  test("bundles 'llmiter/fetch', which needs nothing of Node either", async () => {
    const { text, warnings } = await bundle('fetch.js', "export * from 'llmiter/fetch'")
    expect(warnings).toEqual([])
    expect(text.match(/node:\w*|\brequire\(|\bprocess\.|\bBuffer\b/g)).toBe(null)
  })

  test.each(['openai', 'anthropic', 'groq', 'google', 'google-generative-ai', 'mistral', 'ai-sdk'])(
    "bundles 'llmiter/%s', which brings no SDK and needs nothing of Node",
    async (name) => {
      const { text, warnings } = await bundle(`${name}.js`, `export * from 'llmiter/${name}'`)
      expect(warnings).toEqual([])
      expect(text.match(/node:\w*|\brequire\(|\bprocess\.|\bBuffer\b/g)).toBe(null)
      const { text: alone } = await bundle('main.js', "export * from 'llmiter'")
      expect(text.length - alone.length).toBeLessThan(20_000)
    },
  )

  test("bundles 'llmiter/testing', which asks for node:http only where it serves", async () => {
    const { text, warnings } = await bundle('testing.js', "export * from 'llmiter/testing'")
    expect(warnings).toEqual([])
    expect(text.match(/.{7}"node:\w+"/g)).toEqual(['import("node:http"'])
  })

  test.skipIf(!chromium && !CI)('runs it', async () => {
    if (!chromium) throw new Error('chromium is not installed')
    const folder = mkdtempSync(join(tmpdir(), 'llmiter-browser-'))
    try {
      const { text } = await bundle('browser.js', "import './browser.mjs'")
      const page = join(folder, 'page.html')
      writeFileSync(join(folder, 'bundle.js'), text)
      writeFileSync(
        page,
        '<!doctype html><meta charset="utf-8"><title>running</title><script src="bundle.js"></script>',
      )
      const flags = [...CHROMIUM_FLAGS, '--virtual-time-budget=10000']
      const dom = run(chromium, [
        ...flags,
        `--user-data-dir=${join(folder, 'profile')}`,
        '--dump-dom',
        `file://${page}`,
      ])
      expect(/<title>(.*)<\/title>/s.exec(dom)?.[1]).toMatch(/^ok, \d+ ms$/)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
