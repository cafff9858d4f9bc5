// The three supported protocols, and what the gateway needs to know about each: its paths, its credentials, and
// the format of its errors. So each SDK reads an error of the gateway like one of its provider.

import type { IncomingHttpHeaders } from 'node:http'

export type Protocol = 'openai' | 'anthropic' | 'gemini'

export interface ProtocolRules {
  /** The provider's address, unless the operator sets another one. */
  readonly baseUrl: string
  /**
   * The prefix of the gateway's paths, which is also the end of a base URL. It is not repeated when both are
   * joined.
   */
  readonly prefix: string
  readonly credentials: (apiKey: string) => Record<string, string>
  readonly error: (status: number, code: string, message: string) => object
  /** The last event of a stream that failed. */
  readonly lastEvent: (error: object) => string
}

const BY_STATUS: Record<number, { anthropic: string; gemini: string }> = {
  400: { anthropic: 'invalid_request_error', gemini: 'INVALID_ARGUMENT' },
  401: { anthropic: 'authentication_error', gemini: 'UNAUTHENTICATED' },
  402: { anthropic: 'billing_error', gemini: 'RESOURCE_EXHAUSTED' },
  403: { anthropic: 'permission_error', gemini: 'PERMISSION_DENIED' },
  404: { anthropic: 'not_found_error', gemini: 'NOT_FOUND' },
  413: { anthropic: 'request_too_large', gemini: 'INVALID_ARGUMENT' },
  429: { anthropic: 'rate_limit_error', gemini: 'RESOURCE_EXHAUSTED' },
  503: { anthropic: 'overloaded_error', gemini: 'UNAVAILABLE' },
}
const OPENAI_TYPES: Record<number, string> = { 402: 'insufficient_quota', 429: 'rate_limit_error' }

export const PROTOCOLS: Readonly<Record<Protocol, ProtocolRules>> = {
  openai: {
    baseUrl: 'https://api.openai.com/v1',
    prefix: '/v1',
    credentials: (apiKey) => ({ authorization: `Bearer ${apiKey}` }),
    error: (status, code, message) => ({
      error: {
        message,
        type: OPENAI_TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error'),
        param: null,
        code,
      },
    }),
    lastEvent: (error) => `data: ${JSON.stringify(error)}\n\n`,
  },
  anthropic: {
    baseUrl: 'https://api.anthropic.com',
    prefix: '',
    credentials: (apiKey) => ({ 'x-api-key': apiKey }),
    error: (status, code, message) => ({
      type: 'error',
      error: { type: BY_STATUS[status]?.anthropic ?? 'api_error', message, code },
    }),
    lastEvent: (error) => `event: error\ndata: ${JSON.stringify(error)}\n\n`,
  },
  gemini: {
    baseUrl: 'https://generativelanguage.googleapis.com',
    prefix: '',
    credentials: (apiKey) => ({ 'x-goog-api-key': apiKey }),
    error: (status, code, message) => ({
      error: {
        code: status,
        message,
        status: BY_STATUS[status]?.gemini ?? 'INTERNAL',
        details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: code }],
      },
    }),
    lastEvent: (error) => `data: ${JSON.stringify(error)}\n\n`,
  },
}

const GEMINI_PATH = /^\/v1(alpha|beta)\d*\/|^\/v1\/models\/[^/:]+:\w+$/
const ANTHROPIC_PATH = /^\/v1\/(messages|complete)(\/|$)/

/** Undefined: the path belongs to no protocol. */
export function protocolOf(path: string, headers: IncomingHttpHeaders): Protocol | undefined {
  if (GEMINI_PATH.test(path)) return 'gemini'
  if (!path.startsWith('/v1/')) return undefined
  if (ANTHROPIC_PATH.test(path) || 'anthropic-version' in headers) return 'anthropic'
  return 'x-goog-api-key' in headers && !headers.authorization ? 'gemini' : 'openai'
}

/** Calls that generate nothing. They have separate limits, or none. */
const GENERATES_NOTHING = /\/(count_tokens|files|uploads|batches)(\/|$)|:(countTokens|batchGenerateContent)$/

export const generates = (method: string, path: string): boolean =>
  method === 'POST' && !GENERATES_NOTHING.test(path)

const COUNTS_ONLY = /\/count_tokens$|:countTokens$/

/** Whether a call may use billed tokens: a list does not, a batch does. */
export const maySpend = (method: string, path: string): boolean =>
  method === 'POST' && !COUNTS_ONLY.test(path)

/** The model named in a path, as in Gemini's: `/v1beta/models/gemini-2.5-flash:generateContent`. */
export function modelInPath(path: string): string | undefined {
  const named = /\/models\/([^/:]+):\w+$/.exec(path)?.[1]
  return named === undefined ? undefined : decoded(named)
}

/** Decodes a path segment as the provider will. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Whether it is an OpenAI stream that reports its usage only on request. */
export const asksForUsage = (protocol: Protocol, path: string): boolean =>
  protocol === 'openai' && /^\/v1\/(chat\/)?completions$/.test(path)

/** The client's key, wherever its SDK puts it. */
export function clientKey(headers: IncomingHttpHeaders, query: string): string | undefined {
  const bearer = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1]
  const inQuery = new URLSearchParams(query).get('key') ?? undefined
  const [found] = KEY_HEADERS.map((name) => headers[name]).filter((value) => typeof value === 'string')
  return bearer ?? found ?? inQuery
}

const KEY_HEADERS = ['x-api-key', 'x-goog-api-key', 'api-key']

/** Query parameters that carry credentials, or headers with credentials, in any spelling. */
const CREDENTIALS = /^(key|(api|auth|subscription)key|(access|oauth|bearer|auth)?token|httpheaders)$/

const namesCredentials = (part: string): boolean =>
  CREDENTIALS.test(
    decoded(part.split('=', 1)[0]!.replaceAll('+', ' '))
      .toLowerCase()
      .replaceAll(/[^a-z]/g, ''),
  )

/** The query without the client's key, otherwise unchanged. */
export function withoutKey(query: string): string {
  if (query === '') return query
  const parts = query.split('&')
  return parts.some(namesCredentials) ? parts.filter((part) => !namesCredentials(part)).join('&') : query
}
