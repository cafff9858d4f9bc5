// A real redis-server for a test: on a free port, without files, removed with the test.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const installed = spawnSync('redis-server', ['--version']).status === 0

/** Whether this machine has Redis. In CI it is required. */
export function haveRedis(): boolean {
  if (installed) return true
  if (process.env['CI']) throw new Error('redis-server is not installed: apt-get install redis-server')
  console.error(
    '\n!!! SKIPPED: all tests with a real Redis, for redis-server is not installed on this machine\n',
  )
  return false
}

export interface RedisServer {
  readonly port: number
  readonly url: string
  /** Stops all its processes, with SIGSTOP. */
  freeze(): void
  thaw(): void
  stop(): Promise<void>
  /** Starts it again on the same port, with an empty memory. */
  start(): Promise<void>
  /** Stops it permanently. */
  close(): Promise<void>
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

export async function startRedis(config: readonly string[] = [], port?: number): Promise<RedisServer> {
  port ??= await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'llmiter-redis-'))
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
  ]
  let child: ChildProcess | undefined
  const end = () => child?.kill('SIGKILL')
  process.once('exit', end)
  const server: RedisServer = {
    port,
    url: `redis://127.0.0.1:${port}`,
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
    async stop() {
      const stopped = child && new Promise((resolve) => child!.once('exit', resolve))
      end()
      await stopped
      child = undefined
    },
    async close() {
      await server.stop()
      process.off('exit', end)
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    },
    async start() {
      child = spawn('redis-server', [...args, ...config], { stdio: 'ignore' })
      while (!(await answers(port))) await new Promise((resolve) => setTimeout(resolve, 20))
    },
  }
  await server.start()
  return server
}
