// The ESM and the CJS copy of the package in one program, as when a library of yours has loaded the other one.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import * as esm from 'llmiter'
import * as esmTesting from 'llmiter/testing'

const require = createRequire(import.meta.url)
const cjs = require('llmiter')
const cjsTesting = require('llmiter/testing')

assert.notEqual(esm.BucketRateLimiter, cjs.BucketRateLimiter, 'these are two copies')
assert.notEqual(esmTesting.VirtualClock, cjsTesting.VirtualClock, 'these are two copies')

const pairs = [
  [esm, cjs, esmTesting],
  [cjs, esm, cjsTesting],
]

for (const [here, there, { VirtualClock }] of pairs) {
  // Each error of one copy is known to the classes of the other, and only to the right ones.
  const limiter = new there.BucketRateLimiter({ name: 'there', requestsPerMinute: 60 })
  limiter.stop('over')
  const error = await limiter.run(() => 1).catch((reason) => reason)
  assert.ok(error instanceof there.LimiterStoppedError)
  assert.ok(error instanceof here.LimiterStoppedError)
  assert.ok(error instanceof here.LimiterError)
  assert.ok(!(error instanceof here.QueueFullError))
  assert.ok(!(new Error('other') instanceof here.LimiterError))

  // A limiter of the other copy, with its line, its refusals and its errors.
  const clock = new VirtualClock()
  const slow = new there.BucketRateLimiter({
    name: 'slow',
    requestsPerMinute: 60,
    burst: 1,
    ramp: false,
    clock,
  })
  const startsMs = []
  const ask = here.withLimiter(async (name) => {
    startsMs.push(clock.now())
    if (startsMs.length === 1) throw Object.assign(new Error('slow down'), { status: 429 })
    return name
  }, slow)
  const answers = Promise.all([ask('a'), ask('b'), slow.run(() => 'c')])
  await clock.runAll({ untilMs: 600_000 })
  assert.deepEqual(await answers, ['a', 'b', 'c'])
  assert.ok(startsMs[2] - startsMs[1] >= 1000, `paced: ${startsMs}`)
  assert.deepEqual([slow.stats().inFlight, slow.stats().waiting, slow.stats().refused], [0, 0, 1])

  // Options that only one of the copies has checked; a timeout that one makes and the other judges.
  const hangs = here.withLimiter(() => new Promise(() => {}), slow, { timeoutMs: 100 })
  const late = hangs().catch((reason) => reason)
  await clock.runAll({ untilMs: clock.now() + 60_000 })
  assert.ok((await late) instanceof there.CallTimeoutError)

  // A service of the other copy.
  const service = there.perModel({ 'gpt-5': { requestsPerMinute: 60, clock } })
  assert.equal(await here.withLimiter((request) => request.model, service)({ model: 'gpt-5' }), 'gpt-5')

  // A parent of the other copy: its limit holds for the child.
  const account = new there.BucketRateLimiter({
    name: 'account',
    requestsPerMinute: 60,
    burst: 1,
    ramp: false,
    clock,
  })
  const child = new here.BucketRateLimiter({
    name: 'child',
    requestsPerMinute: 6000,
    burst: 5,
    ramp: false,
    parent: account,
  })
  const childMs = []
  const children = Promise.all([1, 2, 3].map(() => child.run(() => childMs.push(clock.now()))))
  await clock.runAll({ untilMs: clock.now() + 60_000 })
  await children
  assert.ok(childMs[2] - childMs[0] >= 2000, `paced by the parent: ${childMs}`)
  assert.equal(account.stats().inFlight, 0)

  // A clock of the other copy is a clock.
  assert.equal(clock.pendingTimers, 0)
}

// One default limiter, whoever asks first.
const ofEsm = esm.configureDefaultLimiter({ requestsPerMinute: 1200 })
const ofCjs = cjs.configureDefaultLimiter({})
assert.equal(ofEsm, ofCjs)
await Promise.all([esm.withLimiter(async () => 1)(), cjs.withLimiter(async () => 2)()])
assert.equal(ofEsm.stats().finished, 2)

console.log('ok')
