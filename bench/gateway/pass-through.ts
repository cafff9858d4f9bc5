// The minimum cost of a gateway: reads a call, forwards it, and passes its answer back. No queue, no checks, no
// log.

import { Agent, createServer, type IncomingMessage, request } from 'node:http'

const [port, upstream] = process.argv.slice(2).map(Number)
const agent = new Agent({ keepAlive: true, maxFreeSockets: 1024 })

const whole = (message: IncomingMessage, then: (bytes: Buffer) => void) => {
  const chunks: Buffer[] = []
  message.on('data', (chunk: Buffer) => chunks.push(chunk)).once('end', () => then(Buffer.concat(chunks)))
}

createServer((incoming, response) =>
  whole(incoming, (body) => {
    const { method, url, headers } = incoming
    const outgoing = request(
      { agent, host: '127.0.0.1', port: upstream, method, path: url, headers },
      (answer) => {
        response.writeHead(answer.statusCode!, answer.headers)
        if (answer.headers['content-length'] === undefined) answer.pipe(response)
        else whole(answer, (bytes) => response.end(bytes))
      },
    )
    response.once('close', () => outgoing.destroy())
    outgoing.once('error', () => response.destroy())
    outgoing.end(body)
  }),
).listen(port, '127.0.0.1')
