// workerd, by miniflare, with a worker of ours behind a front worker that can cancel a request: the one way to
// make a client leave at a known moment.

import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { Log, LogLevel, Miniflare } from 'miniflare'

export interface Worker {
  /** The text of the answer, or 'cancelled' if the test aborted it. Never rejects. */
  get(path: string, cancelAfterMs?: number): Promise<string>
  /** What workerd wrote: warnings, errors. */
  readonly output: string[]
  dispose(): Promise<void>
}

const FRONT = `export default { async fetch(request, env) {
  const after = request.headers.get('x-cancel-after')
  if (!after) return env.BACK.fetch(request)
  const abort = new AbortController()
  setTimeout(() => abort.abort(), Number(after))
  try {
    return new Response(await (await env.BACK.fetch(request, { signal: abort.signal })).text())
  } catch {
    return new Response('cancelled')
  }
} }`

export async function startWorker(
  entry: URL,
  compatibilityDate: string,
  bindings: Record<string, string> = {},
): Promise<Worker> {
  const source = (name: string) => fileURLToPath(new URL(`../../../src/${name}.ts`, import.meta.url))
  const bundle = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    alias: {
      llmiter: source('index'),
      'llmiter/fetch': source('clients/fetch'),
      'llmiter/testing': source('testing/index'),
    },
  })
  const output: string[] = []
  const miniflare = new Miniflare({
    host: '127.0.0.1',
    port: 0,
    log: new Log(LogLevel.NONE),
    handleRuntimeStdio(...streams: NodeJS.ReadableStream[]) {
      for (const stream of streams) stream.on('data', (data: Buffer) => output.push(String(data)))
    },
    workers: [
      {
        name: 'front',
        modules: [{ type: 'ESModule', path: 'front.mjs', contents: FRONT }],
        compatibilityDate: '2025-06-01',
        serviceBindings: { BACK: 'main' },
      },
      {
        name: 'main',
        modules: [{ type: 'ESModule', path: 'main.mjs', contents: bundle.outputFiles[0]!.text }],
        compatibilityDate,
        bindings,
      },
    ],
  })
  const url = await miniflare.ready
  return {
    output,
    async get(path, cancelAfterMs) {
      try {
        const headers: Record<string, string> = cancelAfterMs
          ? { 'x-cancel-after': String(cancelAfterMs) }
          : {}
        const response = await fetch(new URL(path, url), { headers, signal: AbortSignal.timeout(15_000) })
        return response.ok ? await response.text() : `${response.status}`
      } catch (error) {
        return String(error)
      }
    },
    dispose: () => miniflare.dispose(),
  }
}
