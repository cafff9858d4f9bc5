// The office at scale, and as a pure machine: no clock, no promise, only `now`.

import { expect, test } from 'vitest'
import { Call } from '../../src/core/call.ts'
import { parseLimits, type LimitsOptions } from '../../src/core/limit/parse-limits.ts'
import { Office } from '../../src/core/ticket-issuer.ts'

function open(limits: LimitsOptions, options: Partial<ConstructorParameters<typeof Office>[0]> = {}): Office {
  return new Office({
    limits: parseLimits(limits),
    random: () => 0.5,
    wall: { offsetMs: 0 },
    ramp: false,
    ...options,
  })
}

/** Serves all who wait, jumping from moment to moment; gives the time of the last ticket. */
function drain(office: Office, each: (call: Call, now: number) => void, from = 0): number {
  let now = from
  while (office.waiting > 0) {
    for (let call = office.next(now); call; call = office.next(now)) each(call, now)
    if (office.waiting > 0) {
      if (office.wakeAt <= now) throw new Error(`nothing goes at ${now} and nothing will later`)
      now = office.wakeAt
    }
  }
  return now
}

test('one million queued calls, drained in virtual time without a quadratic step', () => {
  const office = open({ requestsPerMinute: 1_000_000, tokensPerMinute: 1_000_000_000 })
  const cost = { requests: 1, tokens: 1000 }
  const startedAt = performance.now()
  for (let i = 0; i < 1_000_000; i++) office.enqueue(new Call(office, cost), 0)
  let served = 0
  let last = 0
  let inOrder = true
  const end = drain(office, (call, now) => {
    inOrder &&= call.seq > last
    last = call.seq
    served++
    office.finish(call, undefined, now)
  })
  expect([served, inOrder]).toEqual([1_000_000, true])
  expect(end / 60_050).toBeGreaterThan(0.79)
  expect(end / 60_050).toBeLessThan(1.01)
  expect(office.budget.inFlight).toBe(0)
  expect(performance.now() - startedAt).toBeLessThan(15_000)
}, 30_000)

test('the time for each call does not grow with the length of the line', () => {
  const time = (calls: number) => {
    const office = open({ requestsPerMinute: 6_000_000 })
    const startedAt = performance.now()
    for (let i = 0; i < calls; i++) office.enqueue(new Call(office, { requests: 1 }), 0)
    drain(office, (call, now) => office.finish(call, undefined, now))
    return (performance.now() - startedAt) / calls
  }
  time(20_000)
  expect(time(300_000)).toBeLessThan(8 * time(30_000))
})

test('100,000 leave from anywhere in the line', () => {
  const office = open({ requestsPerMinute: 1 })
  const calls = Array.from({ length: 100_000 }, () => new Call(office, { requests: 1 }))
  const startedAt = performance.now()
  for (const call of calls) office.enqueue(call, 0)
  for (let i = 0; i < calls.length; i++) office.cancel(calls[(i * 7919) % calls.length]!, 1)
  expect([office.waiting, office.line.size, office.next(2)]).toEqual([0, 0, undefined])
  expect(performance.now() - startedAt).toBeLessThan(2000)
})

test('`next` says when to ask again, and asking before gives nothing', () => {
  const office = open({ requestsPerMinute: 60, burst: 1 })
  for (let i = 0; i < 3; i++) office.enqueue(new Call(office, { requests: 1 }), 0)
  const first = office.next(0)!
  expect([first.seq, office.next(0)]).toEqual([1, undefined])
  expect(office.wakeAt).toBeCloseTo(1000.83, 1)
  expect(office.next(office.wakeAt - 0.01)).toBeUndefined()
  expect(office.next(office.wakeAt)?.seq).toBe(2)
})

test('the decisions besides tickets are notices, in order, and kept until taken', () => {
  const office = open({ requestsPerMinute: 60 })
  const call = new Call(office, { requests: 1 })
  office.enqueue(call, 0)
  office.next(0)
  office.refuse(call, { kind: 'rate', waitMs: 1000 }, true, 10)
  expect(office.next(500)).toBeUndefined()
  expect(office.next(2000)).toBe(call)
  office.finish(call, undefined, 2010)
  expect(office.notices.map(({ of }) => of)).toEqual(['gate', 'gate', 'gate'])
})

test('the same events give the same decisions: no hidden clock, no hidden luck', () => {
  const run = () => {
    const office = open({ requestsPerMinute: 600, burst: 3 })
    const log: string[] = []
    for (let i = 0; i < 50; i++) office.enqueue(new Call(office, { requests: 1 }), 0)
    let n = 0
    drain(office, (call, now) => {
      log.push(`${call.seq}@${now}`)
      if (++n % 5 === 0 && n < 40) office.refuse(call, { kind: 'rate' }, true, now)
      else office.finish(call, undefined, now)
    })
    return log
  }
  expect(run()).toEqual(run())
})

test('a tree: each floor keeps its own count', () => {
  const root = open({ requestsPerMinute: 600, burst: 5 })
  const child = open({ limits: [{ of: 'requests', amount: 2, per: '1h' }] }, { parent: root })
  const calls = [1, 2, 3].map(() => new Call(child, { requests: 1 }))
  for (const call of calls) child.enqueue(call, 0)
  expect([root.waiting, child.waiting]).toEqual([3, 3])
  expect([root.next(0), root.next(0), root.next(0)]).toEqual([calls[0], calls[1], undefined])
  expect([root.budget.inFlight, child.budget.inFlight, root.waiting]).toEqual([2, 2, 1])
  child.finish(calls[0]!, undefined, 1)
  child.lose(calls[1]!, 'unsent', 1)
  expect([root.budget.inFlight, child.budget.inFlight]).toEqual([0, 0])
  expect(root.next(1)).toBe(calls[2])
})
