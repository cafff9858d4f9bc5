// Finds failures that a stream reports in one of its events.

import { get, isObject, isPlain } from './safe-access.ts'

const BROKEN =
  /(throttling|serviceUnavailable|internalServer|modelStreamError|modelTimeout|validation)Exception$/i

/** The failure reported by a stream event, or undefined. */
export function failureIn(chunk: unknown): object | undefined {
  if (!isObject(chunk)) return undefined
  const type = get(chunk, 'type')
  const failed =
    type === 'error' ||
    type === 'response.failed' ||
    get(chunk, 'object') === 'error' ||
    isObject(get(chunk, 'error')) ||
    isObject(get(get(chunk, 'response'), 'error'))
  if (failed) return chunk
  // Bedrock: `{ throttlingException: { message } }`
  const name = isPlain(chunk) ? Object.keys(chunk).find((key) => BROKEN.test(key)) : undefined
  return name === undefined
    ? undefined
    : { name: name.charAt(0).toUpperCase() + name.slice(1), ...Object(get(chunk, name)) }
}
