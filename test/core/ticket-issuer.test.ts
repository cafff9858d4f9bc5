// The ticket issuer with many calls, and as a pure machine: no clock, no promise, only `now`. How the cost of a call
// grows with the length of the queue is measured by `npm run bench:overhead -- --only e`.

import { expect, test } from 'vitest'
import { Call } from '../../src/core/call.ts'
import { parseLimits, type LimitsOptions } from '../../src/core/limit/parse-limits.ts'
import { type Decision, type IssuerCall, TicketIssuer } from '../../src/core/ticket-issuer.ts'

function open(
  limits: LimitsOptions,
  options: Partial<ConstructorParameters<typeof TicketIssuer>[0]> = {},
): TicketIssuer {
  return new TicketIssuer({
    limits: parseLimits(limits),
    random: () => 0.5,
    wall: { offsetMs: 0 },
    ramp: false,
    ...options,
  })
}

/** Serves all who wait, jumping from moment to moment; gives the time of the last ticket. */
function drain(issuer: TicketIssuer, each: (call: IssuerCall, now: number) => void, from = 0): number {
  let now = from
  while (issuer.waiting > 0) {
    for (let call = issuer.next(now); call; call = issuer.next(now)) each(call, now)
    if (issuer.waiting > 0) {
      if (issuer.wakeAt <= now) throw new Error(`nothing goes at ${now} and nothing will later`)
      now = issuer.wakeAt
    }
  }
  return now
}

test('one million queued calls, drained in virtual time', () => {
  const issuer = open({ requestsPerMinute: 1_000_000, tokensPerMinute: 1_000_000_000 })
  const cost = { requests: 1, tokens: 1000 }
  for (let i = 0; i < 1_000_000; i++) issuer.enqueue(new Call(issuer, cost), 0)
  let served = 0
  let last = 0
  let inOrder = true
  const end = drain(issuer, (call, now) => {
    inOrder &&= call.seq > last
    last = call.seq
    served++
    issuer.finish(call, undefined, now)
  })
  expect([served, inOrder]).toEqual([1_000_000, true])
  expect(end / 60_050).toBeGreaterThan(0.79)
  expect(end / 60_050).toBeLessThan(1.01)
  expect(issuer.limitSet.inFlight).toBe(0)
}, 60_000)

test('100,000 leave from anywhere in the line', () => {
  const issuer = open({ requestsPerMinute: 1 })
  const calls = Array.from({ length: 100_000 }, () => new Call(issuer, { requests: 1 }))
  for (const call of calls) issuer.enqueue(call, 0)
  for (let i = 0; i < calls.length; i++) issuer.cancel(calls[(i * 7919) % calls.length]!, 1)
  expect([issuer.waiting, issuer.line.size, issuer.next(2)]).toEqual([0, 0, undefined])
})

test('`next` says when to ask again, and asking before gives nothing', () => {
  const issuer = open({ requestsPerMinute: 60, burst: 1 })
  for (let i = 0; i < 3; i++) issuer.enqueue(new Call(issuer, { requests: 1 }), 0)
  const first = issuer.next(0)!
  expect([first.seq, issuer.next(0)]).toEqual([1, undefined])
  expect(issuer.wakeAt).toBeCloseTo(1000.83, 1)
  expect(issuer.next(issuer.wakeAt - 0.01)).toBeUndefined()
  expect(issuer.next(issuer.wakeAt)?.seq).toBe(2)
})

test('the decisions besides tickets are kept, in order, until they are asked for', () => {
  const told: Decision[] = []
  const issuer = open({ requestsPerMinute: 60 }, { notify: (decision) => told.push(decision) })
  const call = new Call(issuer, { requests: 1 })
  issuer.enqueue(call, 0)
  issuer.next(0)
  issuer.refuse(call, { kind: 'rate', waitMs: 1000 }, true, 10)
  expect(issuer.next(500)).toBeUndefined()
  expect(issuer.next(2000)).toBe(call)
  issuer.finish(call, undefined, 2010)
  expect(told).toEqual([])
  issuer.tell()
  issuer.tell()
  expect(told.map(({ of }) => of)).toEqual(['gate', 'gate', 'gate'])
})

test('the same events give the same decisions: no hidden clock, no hidden luck', () => {
  const run = () => {
    const issuer = open({ requestsPerMinute: 600, burst: 3 })
    const log: string[] = []
    for (let i = 0; i < 50; i++) issuer.enqueue(new Call(issuer, { requests: 1 }), 0)
    let n = 0
    drain(issuer, (call, now) => {
      log.push(`${call.seq}@${now}`)
      if (++n % 5 === 0 && n < 40) issuer.refuse(call, { kind: 'rate' }, true, now)
      else issuer.finish(call, undefined, now)
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
  expect([root.limitSet.inFlight, child.limitSet.inFlight, root.waiting]).toEqual([2, 2, 1])
  child.finish(calls[0]!, undefined, 1)
  child.release(calls[1]!, 1)
  expect([root.limitSet.inFlight, child.limitSet.inFlight]).toEqual([0, 0])
  expect(root.next(1)).toBe(calls[2])
})
