// The load of the gateway bench: calls over persistent connections.

import { Agent, type ClientRequest, request } from 'node:http'

export const agent = new Agent({ keepAlive: true, maxSockets: Infinity })

export function call(
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

export async function many(count: number, atOnce: number, one: () => Promise<unknown>): Promise<number[]> {
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

export const bodyOf = (bytes: number, stream = false) =>
  JSON.stringify({
    model: 'm',
    messages: [{ role: 'user', content: 'x'.repeat(bytes) }],
    ...(stream && { stream }),
  })
