// The events of a limiter, and what listeners can change (nothing).

import { expect, test } from 'vitest'
import type { EventName } from 'llmiter'
import { createPool } from 'llmiter/pool'
import {
  deferred,
  EMPTY,
  fate,
  leftovers,
  outOfQuota,
  rateLimited,
  refusal,
  rig,
  steadyClock,
} from '../helpers.ts'

const NAMES: EventName[] = [
  'request',
  'issue',
  'finish',
  'refuse',
  'park',
  'reject',
  'gate',
  'learn',
  'retry',
  'stuck',
  'error',
  'idle',
  'drain',
  'stop',
]

function listening(limiter: ReturnType<typeof rig>['limiter']) {
  const log: [EventName, Record<string, unknown>][] = []
  for (const name of NAMES)
    limiter.on(name, (event) => log.push([name, event as unknown as Record<string, unknown>]))
  return log
}

test('the story of one call', async () => {
  const { clock, limiter } = rig({}, steadyClock(0))
  const log = listening(limiter)
  const error = rateLimited(1000)
  let sent = 0
  fate(limiter.run(() => clock.sleep(50).then(() => (sent++ === 0 ? Promise.reject(error) : 'in'))))
  await clock.runAll()
  // The gate event comes before the ticket that it allows. Its order relative to the end of a call is not defined.
  expect(log.map(([name]) => name).slice(0, 7)).toEqual([
    'request',
    'issue',
    'refuse',
    'park',
    'gate',
    'gate',
    'issue',
  ])
  expect(
    log
      .map(([name]) => name)
      .slice(7)
      .sort(),
  ).toEqual(['finish', 'gate', 'idle'])
  expect(log.every(([, event]) => event.limiter === 'test')).toBe(true)
  const of = (name: EventName) => log.filter(([other]) => other === name).map(([, event]) => event)
  expect(of('request')).toEqual([{ limiter: 'test', waiting: 0 }])
  expect(of('issue').map(({ waitedMs }) => waitedMs)).toEqual([0, 1000])
  expect(of('refuse')[0]).toMatchObject({ error, verdict: { kind: 'rate', waitMs: 1000, status: 429 } })
  expect(of('park')).toEqual([{ limiter: 'test', parked: 1, refusals: 1 }])
  expect(of('gate')).toMatchObject([
    { state: 'closed', reopensInMs: 1000 },
    { state: 'probing' },
    { state: 'open' },
  ])
  expect(of('finish')).toEqual([{ limiter: 'test', ok: true, ms: 50 }])
})

test('a call asks for its ticket before it gets it, and once, however it asks', async () => {
  const { clock, limiter } = rig({ maxConcurrent: 1 })
  const log: string[] = []
  for (const name of ['request', 'issue', 'refuse'] as const)
    limiter.on(name, () => log.push(`${name}, ${limiter.stats().inFlight} in flight`))
  const ticket = limiter.tryAcquire()!
  expect(limiter.tryAcquire()).toBeUndefined()
  expect(log.splice(0)).toEqual(['request, 1 in flight', 'issue, 1 in flight'])
  const pool = createPool({ targets: [{ name: 'a', limiter }] })
  const pooled = fate(pool.run(() => 'pooled'))
  const again = ticket.refuse(rateLimited(1000))
  await clock.advance(1000)
  expect(log.splice(0)).toEqual(['refuse, 0 in flight', 'issue, 1 in flight'])
  ;(await again).finish()
  await clock.runAll()
  expect(log).toEqual(['request, 1 in flight', 'issue, 1 in flight'])
  expect(pooled.now).toBe('ok: pooled')
})

test('reject, retry and error say why', async () => {
  const { clock, limiter } = rig({
    requestsPerMinute: 60,
    burst: 1,
    maxWaitMs: 10,
    retry: { attempts: 2, minMs: 1, jitter: 0 },
  })
  const log = listening(limiter)
  const broken = refusal(500)
  fate(limiter.run(() => Promise.reject(broken)))
  fate(limiter.run(() => 'late'))
  await clock.runAll()
  const of = (name: EventName) => log.filter(([other]) => other === name).map(([, event]) => event)
  expect(of('retry')).toMatchObject([{ attempt: 2, delayMs: 1, error: broken }])
  expect(of('reject').length).toBe(2)
  expect(of('reject')[0]).toMatchObject({ error: { code: 'WAIT_TIMEOUT' } })
})

test('stuck: after ten refusals, and after five minutes in the parking', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 6000 })
  const stuck: [number, string, number][] = []
  limiter.on('stuck', ({ refusals, parkedMs, reason }) =>
    stuck.push([refusals, reason, Math.round(parkedMs / 1000)]),
  )
  let sent = 0
  fate(limiter.run(() => (sent++ < 10 ? Promise.reject(rateLimited(1000)) : 'in')))
  await clock.runAll()
  // A Retry-After of one second that proves too short nine times is no longer trusted, so the waits double.
  expect(stuck).toEqual([[10, expect.stringContaining('429'), 24]])
  let again = 0
  fate(limiter.run(() => (again++ < 1 ? Promise.reject(rateLimited(400_000)) : 'in')))
  await clock.runAll()
  expect(stuck[1]).toEqual([1, expect.stringContaining('429'), 300])
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a listener that throws disturbs nobody and is told to `error`; one of `error` that throws is ignored', async () => {
  const { clock, limiter } = rig({ requestsPerMinute: 60, burst: 1 })
  const where: string[] = []
  for (const name of NAMES) {
    limiter.on(name, () => {
      throw new Error(name)
    })
  }
  limiter.on('error', (event) => where.push(event.where))
  let sent = 0
  const calls = [1, 2, 3].map(() =>
    fate(limiter.run(() => (sent++ === 1 ? Promise.reject(rateLimited(10)) : 'in'))),
  )
  await clock.runAll()
  expect(calls.map(({ now }) => now)).toEqual(['ok: in', 'ok: in', 'ok: in'])
  expect(new Set(where)).toContain("listener of 'issue'")
  expect(leftovers(limiter, clock)).toEqual(EMPTY)
})

test('a listener ends when it is told to, also during its own event', async () => {
  const { limiter } = rig()
  let heard = 0
  const off = limiter.on('issue', () => {
    heard++
    off()
  })
  limiter.on('issue', () => heard++)
  await limiter.run(() => {})
  await limiter.run(() => {})
  off()
  expect(heard).toBe(3)
})

test.each(NAMES)('a listener of `%s` may call back into the limiter', async (name) => {
  for (const act of ['run', 'stop', 'pause', 'update', 'abort', 'try'] as const) {
    const { clock, limiter } = rig({
      requestsPerMinute: 600,
      burst: 2,
      maxConcurrent: 2,
      retry: { attempts: 2 },
    })
    const controller = new AbortController()
    let done = false
    limiter.on(name, () => {
      if (done) return
      done = true
      if (act === 'run') fate(limiter.run(() => 'inner'))
      else if (act === 'stop') limiter.stop()
      else if (act === 'pause') limiter.pause(1000)
      else if (act === 'update') limiter.update({ maxConcurrent: 1 })
      else if (act === 'abort') controller.abort(new Error('given up'))
      else limiter.tryAcquire()?.finish()
    })
    const errors = [rateLimited(100), undefined, refusal(500), outOfQuota(), refusal(400)]
    const calls = Array.from({ length: 6 }, (_, i) => {
      const error = errors[i]
      let sent = 0
      return fate(
        limiter.run(
          () => clock.sleep(20).then(() => (error && sent++ === 0 ? Promise.reject(error) : 'in')),
          { signal: controller.signal },
        ),
      )
    })
    await clock.runAll({ untilMs: 1_000_000 })
    expect(
      calls.filter(({ now }) => now === 'pending'),
      act,
    ).toEqual([])
    expect(leftovers(limiter, clock), act).toEqual(EMPTY)
    const { rejected, issued, finished, refused } = limiter.stats()
    expect([rejected <= 7, issued >= finished, refused <= issued], act).toEqual([true, true, true])
  }
})

test('idle once, when the last call is over', async () => {
  const { clock, limiter } = rig()
  let idle = 0
  limiter.on('idle', () => idle++)
  const gate = deferred()
  const calls = [fate(limiter.run(() => gate.promise)), fate(limiter.run(() => 'b'))]
  await clock.advance(0)
  expect(idle).toBe(0)
  gate.resolve('a')
  await clock.runAll()
  expect([idle, calls.map(({ now }) => now)]).toEqual([1, ['ok: a', 'ok: b']])
})
