import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  classify,
  estimateTokens,
  headersOf,
  mergeUsage,
  needsBody,
  readLimits,
  readUsage,
} from '../../src/responses/index.ts'

const KINDS = ['rate', 'overload', 'quota', 'oversize', 'transient']

const keys = fc.constantFrom(
  ...[
    'status',
    'statusCode',
    'code',
    'type',
    'message',
    'error',
    'body',
    'headers',
    'response',
    'cause',
    'data',
  ],
  ...[
    'details',
    'violations',
    'quotaId',
    'quotaValue',
    'retryDelay',
    'usage',
    'total_tokens',
    'content',
    'max_tokens',
  ],
)
const words = fc.constantFrom<unknown>(
  ...[
    429,
    503,
    '429',
    'rate_limit_exceeded',
    'try again in 9s',
    '{"error":{"code":429}}',
    'GenerateRequestsPerDay',
  ],
  ...[
    { 'retry-after': '5', 'x-ratelimit-reset': 'Infinity' },
    new Headers({ 'retry-after-ms': '-1' }),
    new Map(),
  ],
)
const { answer } = fc.letrec<{ answer: unknown; node: unknown }>((tie) => ({
  node: fc.dictionary(keys, tie('answer'), { maxKeys: 6, depthIdentifier: 'answer' }),
  answer: fc.oneof(
    { depthIdentifier: 'answer', maxDepth: 6 },
    words,
    fc.anything({
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withSet: true,
    }),
    tie('node'),
    fc.array(tie('answer'), { maxLength: 3, depthIdentifier: 'answer' }),
  ),
}))

function useAll(value: unknown): void {
  const wall = Date.parse('2026-11-21T20:00:00Z')
  for (const outcome of [
    { error: value },
    { value },
    { value: { status: 429, headers: value }, body: value },
  ]) {
    const verdict = classify(outcome, wall)
    if (!verdict) continue
    expect(KINDS).toContain(verdict.kind)
    expect(typeof verdict.reason).toBe('string')
    expect(Object.values(verdict)).not.toContain(undefined)
    if (verdict.waitMs !== undefined) {
      expect(verdict.waitMs).toBeGreaterThanOrEqual(0)
      expect(verdict.waitMs).toBeLessThanOrEqual(30 * 86_400_000)
    }
  }
  needsBody(value)
  for (const hint of [...readLimits(value, wall), ...readLimits(headersOf(value), wall)]) {
    expect(typeof hint.of).toBe('string')
    for (const amount of [hint.perMs, hint.limit, hint.remaining, hint.resetMs])
      if (amount !== undefined) expect(amount).toBeGreaterThanOrEqual(0)
  }
  const usage = mergeUsage(readUsage(value), value)
  for (const amount of Object.values(usage ?? {})) expect(amount).toBeGreaterThanOrEqual(0)
  const estimate = estimateTokens([value])
  expect(estimate.inputTokens).toBeGreaterThanOrEqual(0)
}

test('nothing that can be thrown or returned makes it throw or answer nonsense', () => {
  fc.assert(fc.property(answer, useAll), { numRuns: 2000 })
})

function deny(): never {
  throw new Error('no')
}
const traps = { get: deny, has: deny, ownKeys: deny, getPrototypeOf: deny, getOwnPropertyDescriptor: deny }
const revoked = Proxy.revocable({}, {})
revoked.revoke()
const bottomless: object = new Proxy(() => {}, {
  get: (_target, key) => (key === 'status' ? 429 : bottomless),
})
const fresh = (): object => new Proxy({}, { get: fresh, has: () => true, ownKeys: () => ['a', 'b'] })
const throwing = Object.defineProperties(new Error('no'), {
  status: { get: deny },
  message: { get: deny },
  usage: { get: deny, enumerable: true },
  headers: { value: { get: deny } },
})

test.each([
  ['a proxy that forbids everything', new Proxy({}, traps)],
  ['a revoked proxy', revoked.proxy],
  ['a proxy without a bottom', bottomless],
  ['a proxy that is new each time', fresh()],
  ['getters that throw', throwing],
  [
    'hostile values one level down',
    { headers: revoked.proxy, error: new Proxy([], traps), usage: fresh(), cause: throwing },
  ],
  [
    'words that are objects',
    { status: { valueOf: deny }, type: { toString: deny }, code: Symbol('x'), message: 5n },
  ],
])('%s is survived', (_name, value) => {
  useAll(value)
})

test('one hostile getter does not hide the rest', () => {
  const error = Object.defineProperty(Object.assign(new Error('no'), { status: 429 }), 'cause', { get: deny })
  expect(classify({ error }, 0)).toMatchObject({ kind: 'rate', status: 429 })
})
