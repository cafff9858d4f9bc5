// The scenarios of the gateway bench, besides plain calls.

import type { ChildProcess } from 'node:child_process'
import { type ClientRequest, request } from 'node:http'
import { join } from 'node:path'
import type { Contestant } from './contestants.ts'
import { bodyOf, call } from './load.ts'
import { answers, freePort, liveMemory, memoryFile, run } from './processes.ts'

const HERE = import.meta.dirname
const PACED = 200

/** KiB per open stream. */
export async function memoryOfStreams(
  child: ChildProcess,
  file: string,
  port: number,
  own: Record<string, string>,
  count: number,
): Promise<number> {
  const idle = await liveMemory(child, file)
  const open: ClientRequest[] = []
  const one = () => call(port, own, bodyOf(100, true), (stream) => open.push(stream))
  try {
    await Promise.all(Array.from({ length: count }, one))
    return Math.round(((await liveMemory(child, file)) - idle) / count / 1024)
  } finally {
    for (const stream of open) stream.destroy()
  }
}

/** KiB per waiting call of 1 kB: it holds a connection, a request and a place in the queue. */
export async function memoryOfWaiting(
  { paced, env, headers }: Contestant,
  upstream: number,
  count: number,
): Promise<number> {
  const port = await freePort()
  const memory = memoryFile()
  const child = run(0, paced!(port, upstream, 1), { ...env, ...memory.env })
  child.stdout!.resume()
  const open: ClientRequest[] = []
  try {
    await answers(port)
    await call(port, headers(upstream), bodyOf(1000))
    const idle = await liveMemory(child, memory.file)
    for (let i = 0; i < count; i++) {
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
    if (waiting < count * 0.99) throw new Error(`only ${waiting} wait`)
    return Math.round(((await liveMemory(child, memory.file)) - idle) / waiting / 1024)
  } finally {
    child.kill('SIGKILL')
    for (const one of open) one.destroy()
  }
}

/** The results of 200 concurrent calls to a provider that allows 600 a minute. */
export async function pace({ start, paced, env, headers, pacedHeaders }: Contestant) {
  const limited = run(1, [join(HERE, 'paced-upstream.ts')], {}, 'pipe')
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
    // Ten go at once, and the others follow at ten a second.
    const optimumMs = (PACED - 10) * 100
    return { answered, refused, percent: answered === PACED ? (100 * optimumMs) / spanMs : undefined }
  } finally {
    child.kill('SIGKILL')
    limited.kill('SIGKILL')
  }
}
