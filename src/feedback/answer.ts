/**
 * Writes an error of any shape down as lines that patterns can be tried on (provider.ts says how).
 *
 * Every SDK keeps the same body somewhere else: as an object or as text, in `error`, `body`, `data` or in
 * the message itself, and gateways put one within another. So this does not know SDKs: it follows the few
 * keys by which one thing encloses another, and takes each kind of word where it finds it. What it must
 * not do is take a user's own data for a provider's: a status counts on errors, responses and bodies, a
 * numeric `code` in bodies only, and within `data` or `details` there are only words.
 */

import { get, reach } from './safe.ts'

export interface Answer {
  status: number | undefined
  text: string
}

const ENCLOSING = ['response', 'rawResponse', '$metadata', 'lastError', 'cause']
const BODIES = ['message', 'error', 'body', 'responseBody']
const DETAILS = ['data', 'detail', 'details', 'errorDetails', 'violations', 'metadata', 'raw']
const STATUS = ['status', 'statusCode', 'httpStatusCode']
const WORDS = [
  'code',
  'type',
  'status',
  'error_code',
  'name',
  'quotaId',
  'quotaValue',
  'retryDelay',
  'detail',
  'raw',
]

export function statusOf(value: unknown, keys: readonly string[] = STATUS): number | undefined {
  return keys
    .map((key) => get(value, key))
    .find(
      (status): status is number =>
        Number.isInteger(status) && (status as number) / 100 >= 4 && (status as number) < 600,
    )
}

export function readAnswer(root: unknown, body: unknown): Answer {
  const errors = reach(root, ENCLOSING)
  const bodies = reach([body, errors.map((error) => BODIES.map((key) => get(error, key)))], BODIES)
  const status = [
    ...errors.map((error) => statusOf(error)),
    ...bodies.map((body) => statusOf(body, [...STATUS, 'code'])),
  ].find(Boolean)
  const lines = reach([errors, bodies], [...BODIES, ...DETAILS]).flatMap((node) =>
    [...WORDS, ...BODIES].map((key) => {
      const word = get(node, key)
      return typeof word === 'string' ? `${key}:${word.slice(0, 2000).replace(/\s+/g, ' ')}` : []
    }),
  )
  return { status, text: [`http ${status}`, ...lines.flat()].join('\n') }
}
