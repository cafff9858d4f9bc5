// The gateway beside @portkey-ai/gateway, in one run: CPU per call, calls a second, latency, memory per open stream, boot,
// and 200 calls at once at a provider of 600 a minute. Of ours the memory of a call that waits, too. The other one is installed into a folder of its own when this runs. It needs Linux, where each process gets a core.
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
const WAITING = quick ? 1000 : 10_000
const PACED = 200
const TICKS_MS = 10

interface Contestant {
  readonly name: string
  /** As it meets a provider that allows so many calls a minute. */
  readonly paced?: (port: number, upstream: number, perMinute: number) => readonly string[]
  /** Its best configuration there. */
  readonly pacedHeaders?: (upstream: number) => Record<string, string>
  readonly start: (port: number, upstream: number) => readonly string[]
  readonly env?: Record<string, string>
  readonly headers: (upstream: number) => Record<string, string>
}

const state = mkdtempSync(join(tmpdir(), 'llmiter-bench-'))
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

const contestants: readonly Contestant[] = [
  {
    name: 'llmiter gateway',
    start: (port, upstream) => ours(port, config(upstream)),
    paced: (port, upstream, requestsPerMinute) => ours(port, config(upstream, {}, { requestsPerMinute })),
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
    pacedHeaders: () => ({
      'x-portkey-config': JSON.stringify({ retry: { attempts: 5, use_retry_after_header: true } }),
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

function run(
  core: number,
  words: readonly string[],
  env: Record<string, string> = {},
  stdin: 'ignore' | 'pipe' = 'ignore',
): ChildProcess {
  const [program, args] = pinned(core, words)
  return spawn(program, args, { env: { ...process.env, ...env }, stdio: [stdin, 'pipe', 'ignore'] })
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

/** 10,000 calls of 1 kB wait: each holds a connection, a request and a place in the queue. */
async function memoryOfWaiting({ paced, env, headers }: Contestant, upstream: number): Promise<number> {
  const port = await freePort()
  const child = run(0, paced!(port, upstream, 1), env)
  child.stdout!.resume()
  const open: ClientRequest[] = []
  try {
    await answers(port)
    await call(port, headers(upstream), bodyOf(1000))
    const idle = usageOf(child).bytes
    for (let i = 0; i < WAITING; i++) {
      const outgoing = request({
        agent: false,
        port,
        host: '127.0.0.1',
        method: 'POST',
        path: '/v1/chat/completions',
        headers: { 'content-type': 'application/json', ...headers(upstream) },
      })
      outgoing.on('error', () => {})
      outgoing.end(bodyOf(1000))
      open.push(outgoing)
      if (i % 200 === 0) await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await new Promise((resolve) => setTimeout(resolve, 5000))
    const status = await new Promise<string>((resolve) =>
      request({ port, host: '127.0.0.1', path: '/-/status' }, (response) => {
        let text = ''
        response.on('data', (bytes) => (text += String(bytes))).once('end', () => resolve(text))
      }).end(),
    )
    const { waiting } = JSON.parse(status) as { waiting: number }
    if (waiting < WAITING * 0.99) throw new Error(`only ${waiting} wait`)
    return Math.round((usageOf(child).bytes - idle) / waiting / 1024)
  } finally {
    child.kill('SIGKILL')
    for (const one of open) one.destroy()
  }
}

/** What becomes of 200 calls that come at once, at a provider of 600 a minute. */
async function pace({ start, paced, env, headers, pacedHeaders }: Contestant) {
  const limited = run(1, [join(HERE, 'gateway/paced-upstream.ts')], {}, 'pipe')
  const line = () =>
    new Promise<string>((resolve) => limited.stdout!.once('data', (text) => resolve(String(text))))
  const upstream = Number(await line())
  const port = await freePort()
  const child = run(0, (paced ?? start)(port, upstream, 600), env)
  child.stdout!.resume()
  try {
    await answers(port)
    const own = { ...headers(upstream), ...pacedHeaders?.(upstream) }
    const body = bodyOf(100)
    const all = await Promise.allSettled(Array.from({ length: PACED }, () => call(port, own, body)))
    const answered = all.filter(({ status }) => status === 'fulfilled').length
    const told = line()
    limited.stdin!.write('\n')
    const { refused, spanMs } = JSON.parse(await told) as { refused: number; spanMs: number }
    // Ten go at once, and the others follow, ten a second.
    const optimumMs = (PACED - 10) * 100
    return {
      'answered of 200': answered,
      'refused upstream': refused,
      'of the optimum': answered === PACED ? `${Math.round((100 * optimumMs) / spanMs)} %` : '–',
    }
  } finally {
    child.kill('SIGKILL')
    limited.kill('SIGKILL')
  }
}

async function measure(contestant: Contestant, upstream: number, direct: number[]) {
  const { name, start, env, headers } = contestant
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
    if (contestant.paced) row['kB a waiting call'] = await memoryOfWaiting(contestant, upstream)
    if (contestant.paced ?? contestant.pacedHeaders) Object.assign(row, await pace(contestant))
    console.log(`\n${name}`)
    for (const [what, figure] of Object.entries(row)) console.log(`  ${what.padEnd(24)}${figure}`)
  }
} finally {
  provider.kill('SIGKILL')
  agent.destroy()
  rmSync(state, { recursive: true, force: true })
}
