/**
 * Writes an error of any shape down as lines that patterns can be tried on (provider.ts says how).
 *
 * Every SDK keeps the same body somewhere else: as an object or as text, in `error`, `body`, `data` or in
 * the message itself, and gateways put one within another. So this does not know SDKs: it follows the few
 * keys by which one thing encloses another, and takes each kind of word where it finds it. What it must
 * not do is take a user's own data for a provider's: a status counts on errors, responses and bodies, a
 * numeric `code` in bodies only, and within `data` or `details` there are only words.
 */

import { get, reach } from './safe-access.ts'

export interface Answer {
  status: number | undefined
  text: string
}

export const ENCLOSING = ['response', 'rawResponse', '$response', '$metadata', 'lastError', 'cause']
const BODIES = ['message', 'error', 'body', 'responseBody']
const DETAILS = ['detail', 'raw', 'data', 'details', 'errorDetails', 'violations', 'metadata']
const LINKS = [...BODIES, ...DETAILS]
const CODES = ['code', 'type', 'status', 'error_code', 'name', 'quotaId', 'quotaValue', 'retryDelay']

export function statusOf(value: unknown, more?: string): number | undefined {
  return ['status', 'statusCode', 'httpStatusCode', more]
    .map((key) => key && get(value, key))
    .find(
      (status): status is number =>
        Number.isInteger(status) && (status as number) > 399 && (status as number) < 600,
    )
}

export function readAnswer(root: unknown, body: unknown): Answer {
  const errors = reach(root, ENCLOSING)
  const bodies = reach([body, errors.map((error) => BODIES.map((key) => get(error, key)))], BODIES)
  let status: number | undefined
  errors.forEach((error) => (status ??= statusOf(error)))
  bodies.forEach((body) => (status ??= statusOf(body, 'code')))
  const lines = [`http ${status}`]
  for (const node of reach([errors, bodies], LINKS))
    for (const key of [...CODES, ...LINKS]) {
      const word = get(node, key)
      if (typeof word === 'string') lines.push(`${key}:${word.slice(0, 2000).replace(/\s+/g, ' ')}`)
    }
  return { status, text: lines.join('\n') }
}
