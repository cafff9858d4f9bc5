/**
 * Renders an error of any shape as lines of text, which patterns are matched against (see provider-rules.ts).
 *
 * Each SDK keeps the same body in a different place: as an object or as text, in `error`, `body`, `data` or in the
 * message itself, and gateways nest one in another. So this code does not know any SDK. It follows the few
 * property names under which one object encloses another. Under any other name it follows whatever looks like an
 * error or a response. It must not mistake the user's own data for the provider's: a status is read from errors,
 * responses and bodies, a numeric `code` only from bodies, and within `data` or `details` only text is read. The
 * request is never read.
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
/** Property names of the request and of client objects. They are skipped. */
const SENT = /^(request|req|config|options|input|params?|prompt|messages?|client|agent|socket|init|parent)$/i

/** The start of an answer is enough. Longer lines are cut, so that no pattern takes long. */
const LINE_CHARS = 2000
const TEXT_CHARS = 8000
/** An object with more keys than this is not treated as an error. */
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

/** Whether a value under an unknown name is an error, or has the status and headers of a response. */
function looksLikeAnswer(value: unknown): boolean {
  return (
    isObject(value) &&
    (value instanceof Error || (statusOf(value) !== undefined && isObject(get(value, 'headers'))))
  )
}

/** The errors and responses nested in an error, outermost first, including the error itself. */
export function enclosed(root: unknown): object[] {
  const found = new Set<object>()
  for (const node of reach(root, ENCLOSING)) {
    found.add(node)
    for (const key of keysOf(node)) {
      if (SENT.test(key) || LINKS.includes(key)) continue
      // A getter under an unknown name may have side effects, so only data properties are read.
      const value: unknown = guard(() => Object.getOwnPropertyDescriptor(node, key))?.value
      if (guard(() => looksLikeAnswer(value))) reach(value, ENCLOSING, found)
    }
  }
  return [...found]
}

const keysOf = (node: object): string[] => (guard(() => Object.keys(node)) ?? []).slice(0, MOST_KEYS)
const isWord = (value: unknown) => typeof value === 'string' || typeof value === 'number'

/** The entries of an object that have a fixed meaning: codes, and waits under any known name. */
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
  // Prose comes last, so that it never displaces a code.
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
