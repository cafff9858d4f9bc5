// The name that was probably meant: after a typo, another spelling, or another library's word. None if it would be
// a guess.

import { expect, test } from 'vitest'
import { didYouMean, meant } from '../../src/lib/suggest.ts'
import { CALL_SYNONYMS, LIMIT_SYNONYMS } from '../../src/lib/synonyms.ts'
import { LIMITER_KEYS } from '../../src/limiter/options.ts'
import { CALL_KEYS } from '../../src/call/call-options.ts'

test.each([
  ['requestPerMinute', 'requestsPerMinute'],
  ['requestsPerMin', 'requestsPerMinute'],
  ['requests_per_minute', 'requestsPerMinute'],
  ['REQUESTS_PER_MINUTE', 'requestsPerMinute'],
  ['requests-per-day', 'requestsPerDay'],
  ['max_concurrent', 'maxConcurrent'],
  ['maxConcurrentCalls', 'maxConcurrent'],
  ['timeout', 'timeoutMs'],
  ['maxWait', 'maxWaitMs'],
  ['maxRefusal', 'maxRefusals'],
  ['qeueu', 'queue'],
  ['rpm', 'requestsPerMinute'],
  ['RPM', 'requestsPerMinute'],
  ['tpm', 'tokensPerMinute'],
  ['max_tokens', 'tokensPerMinute'],
  ['rpd', 'requestsPerDay'],
  ['concurrency', 'maxConcurrent'],
  ['minTime', "limits: [{ of: 'requests', amount: 10, per: '1s' }]"],
  ['reservoir', "limits: [{ of: 'requests', amount: 10, per: '1s' }]"],
  ['intervalCap', "limits: [{ of: 'requests', amount: 10, per: '1s' }]"],
  ['interval', "limits: [{ of: 'requests', amount: 10, per: '1s' }]"],
  ['limit', "limits: [{ of: 'requests', amount: 10, per: '1s' }]"],
  ['highWater', 'queue'],
])('a limiter: %s is %s', (said, name) => {
  expect(meant(said, LIMITER_KEYS, LIMIT_SYNONYMS)).toBe(name)
})

test.each([
  ['maxRetries', 'retry: { attempts: 3 }'],
  ['retries', 'retry: { attempts: 3 }'],
  ['abortSignal', 'signal'],
  ['user', 'tenant'],
  ['prio', 'priority'],
  ['max_wait_ms', 'maxWaitMs'],
])('a call: %s is %s', (said, name) => {
  expect(meant(said, CALL_KEYS, CALL_SYNONYMS)).toBe(name)
})

test('per second it is the option of that name, once there is one', () => {
  expect(meant('rps', ['requestsPerSecond', 'limits'], LIMIT_SYNONYMS)).toBe('requestsPerSecond')
  expect(meant('rps', ['limits'], LIMIT_SYNONYMS)).toMatch(/^limits: .*'1s'/)
})

test.each(['', 'apiKey', 'model', 'baseURL', 'hasOwnProperty', 'x', 'constructor', '日本語', '-'])(
  'nothing comes near %j',
  (said) => {
    expect(meant(said, LIMITER_KEYS, LIMIT_SYNONYMS)).toBeUndefined()
    expect(didYouMean(said, LIMITER_KEYS, LIMIT_SYNONYMS)).toBe('')
  },
)

test('what is no text was meant to be nothing, and a long one takes no time', () => {
  for (const said of [undefined, null, 5, {}, []]) expect(meant(said, LIMITER_KEYS)).toBeUndefined()
  expect(meant('requests'.repeat(1e6), ['limits'])).toBeUndefined()
})

test('nearest wins: letters added, left out, changed and exchanged count as one each', () => {
  expect(meant('gaph', ['watch', 'graph'])).toBe('graph')
  expect(meant('grahp', ['watch', 'graph'])).toBe('graph')
  expect(meant('graqh', ['watch', 'graph'])).toBe('graph')
  expect(meant('graaph', ['watch', 'graph'])).toBe('graph')
  expect(meant('stop', ['slow'])).toBeUndefined()
})
