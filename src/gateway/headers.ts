// Decides which headers are passed on in each direction. All others are dropped: credentials, cookies, and headers
// of one connection.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

const TO_PROVIDER =
  /^(accept|accept-language|content-type|user-agent|idempotency-key|anthropic-(version|beta)|openai-beta|x-stainless-.+|x-goog-api-client|x-request-id|x-client-request-id)$/

const TO_CLIENT =
  /^(content-type|content-encoding|content-disposition|date|retry-after|retry-after-ms|x-should-retry|(x-)?request-id|x-client-request-id|anthropic-.+|openai-.+|x-ratelimit-.+|ratelimit(-.+)?|x-goog-request-id|x-gemini-.+|server-timing|etag|last-modified)$/

type Passing = Map<string, boolean>

/** Caches the decision per name, because the same few names occur in every call. */
const seen = { up: new Map() as Passing, down: new Map() as Passing }
const MOST_NAMES = 1000

function passes(name: string, known: Passing, pattern: RegExp): boolean {
  let found = known.get(name)
  if (found === undefined) {
    found = pattern.test(name)
    if (known.size < MOST_NAMES) known.set(name, found)
  }
  return found
}

export type Headers = Record<string, string | string[] | number>

export function toProvider(headers: IncomingHttpHeaders): Headers {
  const passed: Headers = {}
  for (const name in headers)
    if (passes(name, seen.up, TO_PROVIDER) && headers[name] !== undefined) passed[name] = headers[name]
  // The answer is parsed for its usage, so it must not be compressed.
  passed['accept-encoding'] = 'identity'
  return passed
}

/** A secret of the operator is removed from the headers. */
export function toClient({ headers }: IncomingMessage, redact: (text: string) => string): Headers {
  const passed: Headers = {}
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || !passes(name, seen.down, TO_CLIENT)) continue
    passed[name] = typeof value === 'string' ? redact(value) : value.map(redact)
  }
  return passed
}
