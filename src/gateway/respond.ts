// Writes the response for a client.

import type { ServerResponse } from 'node:http'
import type { StreamAnswer, WholeAnswer } from './answer.ts'
import { GatewayError, UpstreamError } from './errors.ts'
import type { Headers } from './headers.ts'
import { type Protocol, PROTOCOLS } from './protocol.ts'

const LONGEST_RETRY_S = 86_400

export function passWhole(
  { answered, passed, bytes }: WholeAnswer,
  own: Headers,
  response: ServerResponse,
): void {
  if (!response.headersSent)
    response.writeHead(answered, { ...passed, ...own, 'content-length': bytes.length })
  response.end(bytes)
}

export async function passStream(
  answer: StreamAnswer,
  protocol: Protocol,
  own: Headers,
  response: ServerResponse,
): Promise<void> {
  const leave = () => void answer.return()
  response.once('close', leave)
  answer.begin()
  if (!response.headersSent) response.writeHead(answer.answered, { ...answer.passed, ...own })
  let last: Buffer | undefined
  try {
    for (;;) {
      const { done, value } = await answer.next()
      if (done) break
      if (value.bytes.length === 0) continue
      last = value.bytes
      if (!response.write(value.bytes)) await drained(response)
    }
    response.end()
  } catch (error) {
    const message = error instanceof Error ? error.message : 'the stream broke'
    const { lastEvent, error: words } = PROTOCOLS[protocol]
    breakOff(answer, lastEvent(words(502, 'stream_broken', message)), last, response)
  } finally {
    response.removeListener('close', leave)
  }
}

/**
 * Everything received so far has been written. Ends with an error and without a regular end, so that the answer is
 * not taken for complete.
 */
function breakOff(
  answer: StreamAnswer,
  event: string,
  last: Buffer | undefined,
  response: ServerResponse,
): void {
  const whole = last === undefined || /\n\r?\n$/.test(last.toString('latin1', Math.max(0, last.length - 3)))
  response.write(answer.isEvents ? (whole ? '' : '\n\n') + event : '', () => response.destroy())
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      response.removeListener('drain', over)
      response.removeListener('close', over)
      resolve()
    }
    response.on('drain', over)
    response.on('close', over)
  })
}

/** Answers with an error in the format of the protocol. */
export function fail(response: ServerResponse, protocol: Protocol, error: unknown, own: Headers = {}): void {
  if (response.destroyed) return
  if (error instanceof UpstreamError) {
    const { headers, content } = error.passed
    return failWith(response, protocol, error.status, { ...headers, ...own }, content)
  }
  const known = error instanceof GatewayError ? error : internal(error)
  const { status, code, message, retryAfterMs, mayRetry } = known
  const headers = {
    'content-type': 'application/json',
    'x-llmiter-error': code,
    ...own,
    ...(retryAfterMs !== undefined && {
      'retry-after': Math.min(LONGEST_RETRY_S, Math.max(1, Math.ceil(retryAfterMs / 1000))),
    }),
    ...(!mayRetry && { 'x-should-retry': 'false' }),
    ...((status === 413 || status === 503) && { connection: 'close' }),
  }
  failWith(
    response,
    protocol,
    status,
    headers,
    Buffer.from(JSON.stringify(PROTOCOLS[protocol].error(status, code, message))),
  )
}

function internal(error: unknown): GatewayError {
  // The message may contain anything. The operator sees it, the client does not.
  process.emitWarning(error instanceof Error ? error : new Error(String(error)))
  return new GatewayError(500, 'internal_error', 'the gateway failed; see its log')
}

function failWith(
  response: ServerResponse,
  protocol: Protocol,
  status: number,
  headers: Headers,
  body: Buffer,
): void {
  if (!response.headersSent) {
    response.writeHead(status, { ...headers, 'content-length': body.length })
    response.end(body)
    return
  }
  // The stream has already started with comments.
  response.end(PROTOCOLS[protocol].lastEvent(objectOf(body)))
}

function objectOf(body: Buffer): object {
  try {
    return Object(JSON.parse(body.toString())) as object
  } catch {
    return { error: { message: body.toString() } }
  }
}
