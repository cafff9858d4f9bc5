// The limiter's own errors: a code, a cause, and `instanceof` between two copies of the package.

import { expect, test, vi } from 'vitest'
import * as errors from 'llmiter'

const classes = [
  ['QUEUE_FULL', 'QueueFullError'],
  ['WAIT_TIMEOUT', 'WaitTimeoutError'],
  ['CALL_TIMEOUT', 'CallTimeoutError'],
  ['REQUEST_TOO_LARGE', 'RequestTooLargeError'],
  ['QUOTA_EXHAUSTED', 'QuotaExhaustedError'],
  ['LIMITER_STOPPED', 'LimiterStoppedError'],
] as const

test.each(classes)('%s: name, code, cause, stack', (code, name) => {
  const cause = new Error('why')
  const error = new errors[name]('what', cause)
  expect(error).toMatchObject({ code, name, message: 'what', cause })
  expect(error).toBeInstanceOf(Error)
  expect(error).toBeInstanceOf(errors.LimiterError)
  expect(String(error)).toBe(`${name}: what`)
  expect('cause' in new errors[name]('what')).toBe(false)
  for (const [, other] of classes) expect(error instanceof errors[other]).toBe(other === name)
})

test('instanceof holds between two copies of the package', async () => {
  vi.resetModules()
  const copy = await import('../../src/call/errors.ts')
  expect(copy.QueueFullError).not.toBe(errors.QueueFullError)
  const foreign = new copy.QueueFullError('full')
  expect(foreign).toBeInstanceOf(errors.LimiterError)
  expect(foreign).toBeInstanceOf(errors.QueueFullError)
  expect(foreign).not.toBeInstanceOf(errors.WaitTimeoutError)
})

test('an object that only looks like one is not recognised', () => {
  for (const value of [null, undefined, 'x', 5, {}, { code: 'QUEUE_FULL' }, new Error('x')]) {
    expect((value as unknown) instanceof errors.LimiterError).toBe(false)
  }
})
