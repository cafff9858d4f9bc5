/**
 * Writes an error of any shape down as lines that patterns can be tried on (provider-rules.ts says how).
 *
 * Every SDK keeps the same body somewhere else: as an object or as text, in `error`, `body`, `data` or in the message
 * itself, and gateways put one within another. So this does not know SDKs. It follows the few names by which one thing
 * encloses another, and, under any other name, whatever looks like an error or a response. It must not take a user's
 * own data for a provider's: a status counts on errors, responses and bodies, a numeric `code` in bodies only, and
 * within `data` or `details` there are only words. What was sent is never read.
 */

import { WAIT_NAME } from './retry-after.ts'
import { get, guard, isObject, reach } from './safe-access.ts'

export interface AnswerText {
  status: number | undefined
  text: string
}

export const ENCLOSING = [
  'response',
  'rawResponse',
  '$response',
  '$metadata',
  'lastError',
  'cause',
  'errors',
  'originalError',
]
const BODIES = ['message', 'error', 'errors', 'body', 'responseBody']
const DETAILS = [
  'detail',
  'raw',
  'data',
  'details',
  'errorDetails',
  'violations',
  'metadata',
  'reason',
  'reasons',
]
const LINKS = [...BODIES, ...DETAILS]
const CODES = [
  'code',
  'type',
  'status',
  'error_code',
  'errorCode',
  'name',
  'param',
  'quotaId',
  'quotaValue',
  'quota_limit',
  'quota_limit_value',
  'retryDelay',
  'title',
]
/** What the caller sent, and what a client is made of. */
const SENT = /^(request|req|config|options|input|params?|prompt|messages?|client|agent|socket|init|parent)$/i

/** The start of an answer says enough: longer ones are cut, so that no pattern takes long. */
const LINE_CHARS = 2000
const TEXT_CHARS = 8000
/** An object with more keys than this is no error. */
const MOST_KEYS = 50

export function statusOf(value: unknown, more?: string): number | undefined {
  for (const key of ['status', 'statusCode', 'status_code', 'httpStatusCode', more]) {
    const found = key && get(value, key)
    const status = typeof found === 'string' && /^\d{3}$/.test(found) ? Number(found) : found
    if (Number.isInteger(status) && (status as number) > 399 && (status as number) < 600)
      return status as number
  }
  return undefined
}

/** Under a name we do not know: an error, or what has the status and the headers of a response. */
function looksLikeAnswer(value: unknown): boolean {
  return (
    isObject(value) &&
    (value instanceof Error || (statusOf(value) !== undefined && isObject(get(value, 'headers'))))
  )
}

/** The errors and responses that an error encloses, outermost first, itself included. */
export function enclosed(root: unknown): object[] {
  const found = new Set<object>()
  for (const node of reach(root, ENCLOSING)) {
    found.add(node)
    for (const key of keysOf(node)) {
      if (SENT.test(key) || LINKS.includes(key)) continue
      // A getter of a name that we do not know may do things.
      const value: unknown = guard(() => Object.getOwnPropertyDescriptor(node, key))?.value
      if (guard(() => looksLikeAnswer(value))) reach(value, ENCLOSING, found)
    }
  }
  return [...found]
}

const keysOf = (node: object): string[] => (guard(() => Object.keys(node)) ?? []).slice(0, MOST_KEYS)
const isWord = (value: unknown) => typeof value === 'string' || typeof value === 'number'

/** What an object says in words of a fixed meaning: codes, and waits under whatever name. */
function codesOf(node: object, inBody: boolean): [key: string, value: unknown][] {
  const codes = CODES.map((key) => [key, get(node, key)] as [string, unknown])
  const waits = keysOf(node)
    .filter((key) => WAIT_NAME.test(key) && !CODES.includes(key))
    .map((key) => [key, get(node, key)] as [string, unknown])
  return [
    ...codes.filter(([key, value]) =>
      inBody && key !== 'status' ? isWord(value) : typeof value === 'string',
    ),
    ...waits.filter(([, value]) => isWord(value)),
  ]
}

const proseOf = (node: object): [key: string, value: unknown][] =>
  LINKS.map((key) => [key, get(node, key)] as [string, unknown]).filter(
    ([, value]) => typeof value === 'string',
  )

export function readAnswer(root: unknown, body: unknown): AnswerText {
  const errors = enclosed(root)
  const bodies = reach([body, errors.map((error) => BODIES.map((key) => get(error, key)))], BODIES)
  const all = reach([errors, bodies], LINKS)
  const inBody = new Set(bodies)
  const statuses = [
    ...errors.map((error) => statusOf(error)),
    ...bodies.map((body) => statusOf(body, 'code')),
  ]
  const status = statuses.find((status) => status !== undefined)
  // Prose comes last, so that it never crowds out a code.
  const said = [
    ...all.flatMap((node) => codesOf(node, inBody.has(node))),
    ...all.flatMap(proseOf),
    ...(typeof body === 'string' ? [['body', body] as [string, unknown]] : []),
  ]
  let text = `http ${status}`
  for (const [key, value] of said) {
    if (text.length > TEXT_CHARS) break
    text += `\n${key}:${String(value).slice(0, LINE_CHARS).replace(/\s+/g, ' ')}`
  }
  return { status, text }
}
