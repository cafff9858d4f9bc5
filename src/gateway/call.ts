// A call as read from its client.

import type { IncomingMessage } from 'node:http'
import type { PoolCall } from 'llmiter/pool'
import { GatewayError } from './errors.ts'
import { toProvider } from './headers.ts'
import { type CallTerms, type Place, termsOf } from './incoming.ts'
import type { StoredKey } from './key-ring.ts'
import { asksForUsage, generates, modelInPath, type Protocol, PROTOCOLS, withoutKey } from './protocol.ts'
import { askForUsage, shapeOf } from './request-body.ts'

export interface ClientCall {
  readonly protocol: Protocol
  readonly method: string
  /** The path in the client's request, without its query. */
  readonly pathname: string
  /** The path below the address of a target, with its query. */
  readonly path: string
  readonly body: Buffer | undefined
  readonly headers: ReturnType<typeof toProvider>
  readonly model: string | undefined
  readonly stream: boolean
  /** The body with which a stream reports its usage, if the client has not asked for that. */
  readonly bodyForUsage: Buffer | undefined
  readonly terms: CallTerms
  readonly key: StoredKey | undefined
}

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json/i

export function callOf(
  protocol: Protocol,
  request: IncomingMessage,
  { path, query }: Place,
  body: Buffer | undefined,
  key: StoredKey | undefined,
): ClientCall {
  const { prefix } = PROTOCOLS[protocol]
  const isJson = JSON_TYPE.test(request.headers['content-type'] ?? '')
  const shape = body && (isJson || protocol !== 'openai') ? shapeOf(body) : undefined
  const passedQuery = withoutKey(query)
  return {
    protocol,
    method: request.method!,
    pathname: path,
    path: path.slice(prefix.length) + (passedQuery && `?${passedQuery}`),
    body,
    headers: toProvider(request.headers),
    // The path takes precedence, because the provider follows it.
    model: modelInPath(path) ?? shape?.model,
    stream: shape?.stream === true || /:streamGenerateContent$/.test(path),
    bodyForUsage: shape?.stream && asksForUsage(protocol, path) ? askForUsage(body!, shape) : undefined,
    terms: termsOf(request.headers),
    key,
  }
}

/** The model sent to a target, if the route overrides fields for it. The path takes precedence over any body. */
export function modelAt(
  { pathname, model }: ClientCall,
  overrides: Readonly<Record<string, unknown>> = {},
): string | undefined {
  const own = overrides['model']
  return modelInPath(pathname) ?? (typeof own === 'string' ? own : model)
}

/** Lists, files and the like take nothing from the limits. */
const FREE = Object.freeze({ cost: Object.freeze({ requests: 0 }) })
const PAID = Object.freeze({})

export const costOf = ({ method, path }: ClientCall): Pick<PoolCall, 'cost'> =>
  generates(method, path.split('?', 1)[0]!) ? PAID : FREE

/** The parsed body. If it is not JSON, its bytes count. */
export function requestOf({ body, headers }: ClientCall): unknown {
  if (!body) return {}
  if (!JSON_TYPE.test(String(headers['content-type'] ?? ''))) return { body: body.toString('latin1') }
  try {
    return JSON.parse(body.toString()) as unknown
  } catch {
    throw new GatewayError(400, 'bad_json', 'the body is no JSON', { mayRetry: false })
  }
}

/** The fields of a call in the ledger. */
export function factsOf({ key, terms, model }: ClientCall) {
  const tenant = terms.tenant ?? key?.id
  return {
    ...(key && { key: key.id }),
    ...(tenant !== undefined && { tenant }),
    ...(model !== undefined && { model }),
  }
}
