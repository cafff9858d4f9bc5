// The gateway beside @portkey-ai/gateway, in one run: CPU per call, calls a second, latency, memory per open stream and
// boot. The other one is installed into a folder of its own when this runs. It needs Linux, where each process gets a core.
//
//   --quick   fewer calls and streams: for a look, not for a claim

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, type ClientRequest, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const HERE = import.meta.dirname
const ROOT = join(HERE, '..')
const PORTKEY = '1.15.2'
const OTHER = join(HERE, 'gateway/portkey')
const { quick } = parseArgs({ options: { quick: { type: 'boolean', default: false } } }).values
const WARM = quick ? 1000 : 6000
const CALLS = quick ? 1000 : 6000
const AT_ONCE = 16
const STREAMS = quick ? 100 : 500
const TICKS_MS = 10

interface Contestant {
  readonly name: string
  readonly start: (port: number, upstream: number) => readonly string[]
  readonly env?: Record<string, string>
  readonly headers: (upstream: number) => Record<string, string>
}

const state = mkdtempSync(join(tmpdir(), 'llmiter-bench-'))
const config = (upstream: number, more: object = {}) => {
  const file = join(state, `${Object.keys(more).length}.json`)
  const target = {
    name: 'first',
    protocol: 'openai',
    apiKey: 'env:KEY',
    baseUrl: `http://127.0.0.1:${upstream}/v1`,
  }
  writeFileSync(
    file,
    JSON.stringify({ targets: [{ ...target, limits: { requestsPerSecond: 1_000_000 } }], ...more }),
  )
  return file
}
const ours = (port: number, file: string) => [
  ...[join(ROOT, 'dist/cli/llmiter.js'), 'gateway', '--port', String(port)],
  ...['--config', file, '--state', `${file}.state`],
]

const contestants: readonly Contestant[] = [
  {
    name: 'llmiter gateway',
    start: (port, upstream) => ours(port, config(upstream)),
    env: { KEY: 'sk-any' },
    headers: () => ({ authorization: 'Bearer any' }),
  },
  {
    name: 'llmiter gateway, budget on',
    start: (port, upstream) => {
      const budgets = [{ tokens: 1e12, per: 'day' }]
      return ours(port, config(upstream, { budgets }))
    },
    env: { KEY: 'sk-any' },
    headers: () => ({ authorization: 'Bearer any' }),
  },
  {
    name: `@portkey-ai/gateway ${PORTKEY}`,
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
  },
]

function install(): void {
  if (existsSync(join(OTHER, 'node_modules'))) return
  mkdirSync(OTHER, { recursive: true })
  writeFileSync(join(OTHER, 'package.json'), JSON.stringify({ private: true }))
  execFileSync('npm', ['install', '--no-audit', '--no-fund', `@portkey-ai/gateway@${PORTKEY}`], {
    cwd: OTHER,
    stdio: 'ignore',
  })
}

const onLinux = process.platform === 'linux'
const pinned = (core: number, words: readonly string[]): [string, string[]] =>
  onLinux && cpus().length > 1
    ? ['taskset', ['-c', String(core), process.execPath, ...words]]
    : [process.execPath, [...words]]

function run(core: number, words: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const [program, args] = pinned(core, words)
  return spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
}

/** CPU of a process so far, and the memory that it holds now. */
function usageOf({ pid }: ChildProcess): { cpuMs: number; bytes: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * TICKS_MS, bytes: Number(fields[21]) * 4096 }
}

const agent = new Agent({ keepAlive: true, maxSockets: Infinity })

function call(
  port: number,
  headers: Record<string, string>,
  body: string,
  seen?: (request: ClientRequest) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        agent: seen ? undefined : agent,
        port,
        host: '127.0.0.1',
        method: 'POST',
        path: '/v1/chat/completions',
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          ...headers,
        },
      },
      (response) => {
        if (response.statusCode !== 200) reject(new Error(`answered with ${response.statusCode}`))
        if (seen) {
          response.once('data', () => resolve(0))
          response.on('data', () => {})
          response.on('error', () => {})
          seen(outgoing)
        } else response.resume().once('end', () => resolve(0))
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

async function many(count: number, atOnce: number, one: () => Promise<unknown>): Promise<number[]> {
  const took: number[] = []
  let left = count
  const worker = async () => {
    while (left-- > 0) {
      const from = performance.now()
      await one()
      took.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return took.sort((a, b) => a - b)
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

async function answers(port: number): Promise<void> {
  for (let tries = 0; tries < 2000; tries++) {
    const up = await new Promise((resolve) => {
      const probe = request({ port, host: '127.0.0.1', path: '/' }, (response) => resolve(response.resume()))
      probe.once('error', () => resolve(undefined))
      probe.end()
    })
    if (up) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('it does not answer')
}

const bodyOf = (bytes: number, stream = false) =>
  JSON.stringify({
    model: 'm',
    messages: [{ role: 'user', content: 'x'.repeat(bytes) }],
    ...(stream && { stream }),
  })

async function memoryOfStreams(
  child: ChildProcess,
  port: number,
  own: Record<string, string>,
): Promise<number> {
  const idle = usageOf(child).bytes
  const open: ClientRequest[] = []
  const one = () => call(port, own, bodyOf(100, true), (stream) => open.push(stream))
  try {
    await Promise.all(Array.from({ length: STREAMS }, one))
    return Math.round((usageOf(child).bytes - idle) / STREAMS / 1024)
  } finally {
    for (const stream of open) stream.destroy()
  }
}

async function measure({ name, start, env, headers }: Contestant, upstream: number, direct: number[]) {
  const port = await freePort()
  const begun = performance.now()
  const child = run(0, start(port, upstream), env)
  child.stdout!.resume()
  try {
    await answers(port)
    const bootMs = performance.now() - begun
    const own = headers(upstream)
    const row: Record<string, string | number> = { name, 'boot ms': Math.round(bootMs) }
    await many(WARM, AT_ONCE, () => call(port, own, bodyOf(1000)))
    for (const [size, bytes] of [
      ['1 kB', 1000],
      ['32 kB', 32_000],
    ] as const) {
      const [before, from] = [usageOf(child), performance.now()]
      await many(CALLS, AT_ONCE, () => call(port, own, bodyOf(bytes)))
      const ms = performance.now() - from
      row[`${size}: CPU µs a call`] = Math.round((1000 * (usageOf(child).cpuMs - before.cpuMs)) / CALLS)
      row[`${size}: calls/s`] = Math.round((1000 * CALLS) / ms)
    }
    const took = await many(1000, 1, () => call(port, own, bodyOf(1000)))
    const at = (all: number[], share: number) => all[Math.floor(share * all.length)]!
    row['added p50 ms'] = (at(took, 0.5) - at(direct, 0.5)).toFixed(2)
    row['added p99 ms'] = (at(took, 0.99) - at(direct, 0.99)).toFixed(2)
    row['kB a stream'] = await memoryOfStreams(child, port, own).catch((error: Error) => error.message)
    return row
  } finally {
    child.kill('SIGKILL')
  }
}

install()
const provider = run(1, [join(HERE, 'gateway/upstream.ts')])
try {
  const upstream = Number(
    await new Promise((resolve) => provider.stdout!.once('data', (text) => resolve(String(text)))),
  )
  await many(2000, AT_ONCE, () => call(upstream, {}, bodyOf(1000)))
  const direct = await many(1000, 1, () => call(upstream, {}, bodyOf(1000)))
  for (const contestant of contestants) {
    const { name, ...row } = await measure(contestant, upstream, direct)
    console.log(`\n${name}`)
    for (const [what, figure] of Object.entries(row)) console.log(`  ${what.padEnd(24)}${figure}`)
  }
} finally {
  provider.kill('SIGKILL')
  agent.destroy()
  rmSync(state, { recursive: true, force: true })
}
