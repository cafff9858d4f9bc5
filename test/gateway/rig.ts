// Shared by the tests of the gateway: a provider with scripted answers, and a gateway in front of it.

import { spawn } from 'node:child_process'
import { type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import type { GatewayStatus } from '../../src/gateway/admin.ts'
import { startGateway } from '../../src/gateway/server.ts'
import type { GatewayOptions, GatewayTarget } from '../../src/gateway/options.ts'
import { type Server, startServer } from '../clients/server.ts'
import { tempDir } from '../support/temp.ts'

export const CANARY = 'sk-canary-7f3a9b2c4d5e'

export interface Rig {
  server: Server
  gatewayOf(options?: Partial<GatewayOptions>): ReturnType<typeof startGateway>
  targetOf(more?: Partial<GatewayTarget>): GatewayTarget
  close(): Promise<void>
}

export async function startRig(): Promise<Rig> {
  const server = await startServer()
  const running: Awaited<ReturnType<typeof startGateway>>[] = []
  const targetOf = (more: Partial<GatewayTarget> = {}): GatewayTarget => ({
    name: 'first',
    protocol: 'openai',
    apiKey: CANARY,
    baseUrl: `${server.url}/v1`,
    limits: { limits: [] },
    ...more,
  })
  return {
    server,
    targetOf,
    async gatewayOf(options = {}) {
      const one = await startGateway({ port: 0, targets: [targetOf()], ...options })
      running.push(one)
      return one
    },
    async close() {
      for (const one of running) await one.close()
      await server.close()
    },
  }
}

/** A rig and a state folder for the test that runs now; its provider answers with `body`. */
export async function rigForTest(body: object = {}): Promise<{ rig: Rig; state: string }> {
  // Made first, it goes last.
  const state = tempDir()
  const rig = await startRig()
  onTestFinished(() => rig.close())
  rig.server.replies({ body })
  return { rig, state }
}

/** A connection to a gateway, to send bytes as they are. */
export function connection(port: number) {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (bytes) => (answer += bytes.toString()))
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return { socket, answer: () => answer, closed: new Promise((resolve) => socket.once('close', resolve)) }
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** The connection ended before the answer did. */
  broke: boolean
  json(): Record<string, Record<string, unknown>>
}

interface Ask {
  path?: string
  method?: string
  headers?: Record<string, string>
  body?: unknown
  /** Disconnects after this many ms. */
  leaveAfterMs?: number
}

const chat = { model: 'gpt-5', messages: [{ role: 'user', content: 'hi' }] }

/** One request, as any program makes it: nothing is followed, retried or decoded. */
export function ask(
  url: string,
  { path = '/v1/chat/completions', method = 'POST', headers, body = chat, leaveAfterMs }: Ask = {},
) {
  return new Promise<Answer>((resolve, reject) => {
    const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)
    const { hostname, port } = new URL(url)
    // Not as a URL: that would tidy the path.
    const outgoing = request({
      hostname,
      port,
      path,
      method,
      agent: false,
      headers: { 'content-type': 'application/json', ...headers },
    })
    outgoing.once('error', reject)
    if (leaveAfterMs !== undefined) setTimeout(() => outgoing.destroy(), leaveAfterMs)
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', () => {})
      response.once('close', () => {
        const text = Buffer.concat(chunks).toString()
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          text,
          broke: !response.complete,
          json: () => JSON.parse(text),
        })
      })
    })
    outgoing.end(/GET|OPTIONS/.test(method) ? undefined : bytes)
  })
}

export const statusOf = async (url: string, headers: Record<string, string> = {}): Promise<GatewayStatus> =>
  JSON.parse((await ask(url, { path: '/-/status', method: 'GET', headers })).text) as GatewayStatus

const ROOT = join(import.meta.dirname, '../..')

/** `llmiter`, as a program of its own; the first word is the command. */
export function startProgram(words: readonly string[], env: Record<string, string> = {}, shell = false) {
  const files = ['--import', join(ROOT, 'test/support/sources.ts'), join(ROOT, 'src/cli/llmiter.ts')]
  const program = [process.execPath, ...files, ...words]
  // A shell that waits for the program, and does not hand on its signals.
  const [command, ...args] = shell ? ['sh', '-c', '"$0" "$@"; true', ...program] : program
  const options = { env: { PATH: process.env['PATH'], ...env }, detached: shell }
  const child = spawn(command!, args, options)
  onTestFinished(() => {
    try {
      process.kill(shell ? -child.pid! : child.pid!, 'SIGKILL')
    } catch {
      // It has ended.
    }
  })
  let [output, errors] = ['', '']
  child.stdout.on('data', (text) => (output += String(text)))
  child.stderr.on('data', (text) => (errors += String(text)))
  return {
    ended: new Promise<number | null>((resolve) => child.once('close', resolve)),
    output: () => output,
    errors: () => errors,
    stop: (signal: NodeJS.Signals) => child.kill(signal),
    url: () => vi.waitFor(() => /OPENAI_BASE_URL=(\S+)\/v1/.exec(output)![1]!, { timeout: 15_000 }),
  }
}
