// Processes of the gateway's bench. On Linux each keeps to one core.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cpus } from 'node:os'

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

/** CPU of a process so far, and the memory that it holds now. */
export function usageOf({ pid }: ChildProcess): { cpuMs: number; bytes: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * TICKS_MS, bytes: Number(fields[21]) * 4096 }
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
