// The processes of the gateway bench. On Linux each is pinned to one core.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'

const TICKS_MS = 10

const onLinux = process.platform === 'linux'
const pinned = (core: number, words: readonly string[]): [string, string[]] =>
  onLinux && cpus().length > 1
    ? ['taskset', ['-c', String(core), process.execPath, ...words]]
    : [process.execPath, [...words]]

export function run(
  core: number,
  words: readonly string[],
  env: Record<string, string> = {},
  stdin: 'ignore' | 'pipe' = 'ignore',
): ChildProcess {
  const [program, args] = pinned(core, words)
  return spawn(program, args, { env: { ...process.env, ...env }, stdio: [stdin, 'pipe', 'ignore'] })
}

/** The file in which a process reports its live memory, and the environment that `run` needs for it. */
export function memoryFile(): { file: string; env: Record<string, string> } {
  const file = join(tmpdir(), `llmiter-bench-${process.pid}-${files++}.bytes`)
  const preload = new URL('live-memory.ts', import.meta.url).href
  return { file, env: { LIVE_MEMORY: file, NODE_OPTIONS: `--import ${preload}` } }
}
let files = 0

/** The memory that a process holds after garbage collection, in bytes. */
export async function liveMemory(child: ChildProcess, file: string): Promise<number> {
  rmSync(file, { force: true })
  child.kill('SIGUSR2')
  for (let tries = 0; tries < 500; tries++) {
    if (existsSync(file)) {
      const bytes = Number(readFileSync(file, 'utf8'))
      rmSync(file)
      return bytes
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('it does not tell its memory')
}

/** The CPU time of a process so far, in ms. */
export function cpuMsOf({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICKS_MS
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

export async function answers(port: number): Promise<void> {
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
