// A fleet of real processes with one HTTP provider, which counts. Used by the bench and by tests.

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { LimiterOptions, StoreEvent } from '../../src/index.ts'
import type { RedisStoreOptions } from '../../src/distributed/redis/index.ts'
import {
  startHttpProvider,
  TokenBucketProvider,
  type HttpFault,
  type HttpProvider,
} from '../../src/testing/index.ts'

export interface WorkerOptions {
  redisUrl: string
  provider: string
  limits: Omit<LimiterOptions, 'name' | 'clock' | 'store' | 'parent'>
  /** Calls that wait or are in flight at any time. */
  backlog: number
  /** Calls are only counted, not sent: for rates that no HTTP server here would follow. */
  silent?: boolean
  store?: RedisStoreOptions
  client?: 'ioredis' | 'redis' | 'upstash'
  wallShiftMs?: number
}

export type WorkerSays =
  | { of: 'ready' }
  | { of: 'store'; state: StoreEvent['state']; processes: number; at: number }
  | { of: 'gate'; state: string; at: number }
  | { of: 'error'; message: string }
  | { of: 'end'; issued: number }

export interface Fleet {
  readonly provider: HttpProvider
  readonly workers: readonly ChildProcess[]
  /** The messages of the workers, with their number. */
  readonly said: { worker: number; message: WorkerSays }[]
  /** The times of requests that reached the provider, in ms since the epoch of `performance`. */
  times(): number[]
  /**
   * From the next request on, all are refused for this long: 429 with the remaining time as Retry-After. Resolves
   * with that moment.
   */
  refuseAll(retryAfterMs: number): Promise<number>
  errors(): string[]
  stop(): Promise<void>
}

/** Each worker may get other settings: `options` of its number. */
export async function startFleet(
  processes: number,
  options: (worker: number) => Omit<WorkerOptions, 'provider'>,
): Promise<Fleet> {
  let fault: { retryAfterMs: number; done: (at: number) => void; since?: number } | undefined
  const provider = await startHttpProvider({
    model: new TokenBucketProvider({ requestsPerMinute: 1e9 }),
    latencyMs: 20,
    answerTokens: 1,
    chaos(): HttpFault | undefined {
      if (!fault) return undefined
      const now = performance.now()
      fault.since ??= now
      const { retryAfterMs, since, done } = fault
      if (now >= since + retryAfterMs) {
        fault = undefined
        return undefined
      }
      done(since)
      return {
        kind: 'refused',
        why: 'rate',
        status: 429,
        of: 'requests',
        limit: 1,
        used: 1,
        requested: 1,
        retryAfterMs: since + retryAfterMs - now,
      }
    },
  })
  const said: Fleet['said'] = []
  const program = fileURLToPath(new URL('worker.ts', import.meta.url))
  const loader = new URL('../../test/support/sources.ts', import.meta.url).href
  const workers = Array.from({ length: processes }, (_, worker) => {
    const given = JSON.stringify({ ...options(worker), provider: provider.url })
    // Without the parent's own arguments: a test runner's loaders are not for workers.
    const child = fork(program, [given], {
      execArgv: ['--disable-warning=ExperimentalWarning', '--import', loader],
      env: { PATH: process.env['PATH'] },
    })
    child.on('message', (message) => said.push({ worker, message: message as WorkerSays }))
    return child
  })
  const ready = () => said.filter(({ message }) => message.of === 'ready').length
  while (ready() < processes) await new Promise((resolve) => setTimeout(resolve, 20))
  for (const child of workers) child.send('go')
  return {
    provider,
    workers,
    said,
    times: () => provider.requests.log.map(({ atMs }) => atMs),
    refuseAll: (retryAfterMs) => new Promise((done) => (fault = { retryAfterMs, done })),
    errors: () => said.flatMap(({ message }) => (message.of === 'error' ? [message.message] : [])),
    async stop() {
      const gone = workers.map(
        (child) =>
          child.exitCode !== null ||
          child.signalCode !== null ||
          new Promise((resolve) => child.once('exit', resolve)),
      )
      for (const child of workers) if (child.connected) child.send('stop', () => {})
      const late = setTimeout(() => workers.forEach((child) => child.kill('SIGKILL')), 5000)
      await Promise.all(gone)
      clearTimeout(late)
      await provider.close()
    },
  }
}
