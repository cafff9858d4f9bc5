// Upstash's REST protocol in front of a local Redis: a command as an array, or a pipeline of them.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Redis } from 'ioredis'

const encode = (result: unknown, base64: boolean) =>
  base64 && typeof result === 'string' && result !== 'OK' ? Buffer.from(result).toString('base64') : result

export async function upstashBridge(redis: Redis): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const base64 = request.headers['upstash-encoding'] === 'base64'
    const run = ([command, ...args]: string[]) =>
      redis.call(command!, ...args).then(
        (result) => ({ result: encode(result, base64) }),
        ({ message }: Error) => ({ error: message }),
      )
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', async () => {
      const asked = JSON.parse(body) as string[] | string[][]
      const answer = await (Array.isArray(asked[0])
        ? Promise.all((asked as string[][]).map(run))
        : run(asked as string[]))
      response.statusCode = 'error' in answer ? 400 : 200
      response.end(JSON.stringify(answer))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
