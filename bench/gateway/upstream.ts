// A provider with minimal cost, because the gateway in front of it is measured. A call names the size of its
// answer, and streams send one event per second.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const usage = { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 }
const answers = new Map<number, Buffer>()

function answerOf(bytes: number): Buffer {
  let answer = answers.get(bytes)
  if (!answer) {
    const message = { role: 'assistant', content: 'x'.repeat(bytes) }
    const choices = [{ index: 0, message, finish_reason: 'stop' }]
    answer = Buffer.from(
      JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'm', choices, usage }),
    )
    answers.set(bytes, answer)
  }
  return answer
}

const server = createServer((request, response) => {
  let length = 0
  let stream = false
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    stream ||= chunk.includes('"stream":true')
  })
  request.on('end', () => {
    if (!stream) {
      const answer = answerOf(length > 16_000 ? 32_000 : 1000)
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length })
      response.end(answer)
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const event = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta: { content: 'x' } }] })}\n\n`
    response.write(event)
    const timer = setInterval(() => response.write(event), 1000)
    response.on('close', () => clearInterval(timer))
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
