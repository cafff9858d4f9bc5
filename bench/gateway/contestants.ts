// The contestants of the gateway bench.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const HERE = import.meta.dirname
const ROOT = join(HERE, '../..')
const OTHER = join(HERE, 'portkey')
const PORTKEY = '1.15.2'
/** With later versions of its server, each stream of the other gateway fails with a 500 ("immutable" headers). */
const OVERRIDES = { '@hono/node-server': '1.11.2' }

export interface Contestant {
  readonly name: string
  /** Its start command for a provider that allows this many calls a minute. */
  readonly paced?: (port: number, upstream: number, perMinute: number) => readonly string[]
  /** Its best configuration for that provider. */
  readonly pacedHeaders?: (upstream: number) => Record<string, string>
  readonly start: (port: number, upstream: number) => readonly string[]
  readonly env?: Record<string, string>
  readonly headers: (upstream: number) => Record<string, string>
}

/** The folder for our configuration and state. */
export const state = mkdtempSync(join(tmpdir(), 'llmiter-bench-'))
const config = (upstream: number, more: object = {}, limits: object = { requestsPerSecond: 1_000_000 }) => {
  const file = join(mkdtempSync(join(state, 'run-')), 'llmiter.config.json')
  const target = {
    name: 'first',
    protocol: 'openai',
    apiKey: 'env:KEY',
    baseUrl: `http://127.0.0.1:${upstream}/v1`,
  }
  writeFileSync(file, JSON.stringify({ targets: [{ ...target, limits }], ...more }))
  return file
}
const ours = (port: number, file: string) => [
  ...[join(ROOT, 'dist/cli/llmiter.js'), 'gateway', '--port', String(port)],
  ...['--config', file, '--state', `${file}.state`],
]

const OURS = 'llmiter gateway'
const WITH_BUDGET = 'llmiter gateway, budget on'
const ANCHOR = `@portkey-ai/gateway ${PORTKEY}`
const FLOOR = 'node:http alone'
export const NAMES = { OURS, WITH_BUDGET, ANCHOR, FLOOR }

export const contestants: readonly Contestant[] = [
  {
    name: OURS,
    start: (port, upstream) => ours(port, config(upstream)),
    paced: (port, upstream, requestsPerMinute) => ours(port, config(upstream, {}, { requestsPerMinute })),
    env: { KEY: 'sk-any' },
    headers: () => ({ authorization: 'Bearer any' }),
  },
  {
    name: WITH_BUDGET,
    start: (port, upstream) => {
      const budgets = [{ tokens: 1e12, per: 'day' }]
      return ours(port, config(upstream, { budgets }))
    },
    env: { KEY: 'sk-any' },
    headers: () => ({ authorization: 'Bearer any' }),
  },
  {
    name: ANCHOR,
    start: (port) => [
      join(OTHER, 'node_modules/@portkey-ai/gateway/build/start-server.js'),
      `--port=${port}`,
      '--headless',
    ],
    env: { NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: '127.0.0.1,localhost' },
    headers: (upstream) => ({
      authorization: 'Bearer any',
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `http://127.0.0.1:${upstream}/v1`,
    }),
    pacedHeaders: () => ({
      'x-portkey-config': JSON.stringify({ retry: { attempts: 5, use_retry_after_header: true } }),
    }),
  },
  {
    name: FLOOR,
    start: (port, upstream) => [join(HERE, 'pass-through.ts'), String(port), String(upstream)],
    headers: () => ({ authorization: 'Bearer any' }),
  },
]

/** Installs the other gateway once. */
export function install(): void {
  const file = join(OTHER, 'package.json')
  const wanted = JSON.stringify({
    private: true,
    dependencies: { '@portkey-ai/gateway': PORTKEY },
    overrides: OVERRIDES,
  })
  if (existsSync(file) && readFileSync(file, 'utf8') === wanted) return
  rmSync(OTHER, { recursive: true, force: true })
  mkdirSync(OTHER, { recursive: true })
  writeFileSync(file, wanted)
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock'], {
    cwd: OTHER,
    stdio: 'ignore',
  })
}
