// The queue as a machine of its own: order, ageing, turns, and that it keeps nothing of those who have left.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FairQueue, type QueueMember, type TenantQueue } from '../../../src/core/queue/fair-queue.ts'

class Person implements QueueMember<Person> {
  at = -1
  queue: TenantQueue<Person> | undefined = undefined
  before: Person | undefined = undefined
  after: Person | undefined = undefined
  seq: number
  readonly priority: number
  readonly tenant: string | undefined
  constructor(seq: number, priority = 0, tenant?: string) {
    this.seq = seq
    this.priority = priority
    this.tenant = tenant
  }
}

function drained(line: FairQueue<Person>, share = 0.1): Person[] {
  const out: Person[] = []
  for (let next = line.first; next; next = line.first) {
    line.serve(next, share)
    out.push(next)
  }
  return out
}

test('first come, first served; the returned by the place they first had', () => {
  const line = new FairQueue<Person>()
  const people = [1, 2, 3, 4, 5].map((seq) => new Person(seq))
  for (const person of people) line.add(person)
  for (const person of people.slice(0, 3)) line.serve(person, 0.1)
  for (const i of [2, 0, 1]) line.add(people[i]!, true)
  expect(drained(line).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5])
})

test('a flood of urgent calls lets one of each 17 others through', () => {
  const line = new FairQueue<Person>()
  for (let i = 0; i < 10; i++) line.add(new Person(i, 0))
  for (let i = 0; i < 500; i++) line.add(new Person(100 + i, 1))
  const order = drained(line).map(({ priority }) => priority)
  const low = order.flatMap((priority, i) => (priority === 0 ? [i] : []))
  expect(low.slice(1, 10).map((at, i) => at - low[i]!)).toEqual(Array(9).fill(17))
})

test('two steps of priority wait twice as long', () => {
  const line = new FairQueue<Person>()
  line.add(new Person(1, 0))
  for (let i = 0; i < 500; i++) line.add(new Person(100 + i, 2))
  const at = drained(line).findIndex(({ priority }) => priority === 0)
  expect(at).toBeGreaterThanOrEqual(32)
  expect(at).toBeLessThanOrEqual(33)
})

test('who is missed least: the newest of the largest tenant of the lowest priority, never a returned one', () => {
  const line = new FairQueue<Person>()
  const returned = new Person(0, -1)
  line.add(returned)
  line.serve(returned, 0.1)
  line.add(returned, true)
  expect(line.least).toBeUndefined()
  const few = new Person(1, 0, 'few')
  const many = [2, 3].map((seq) => new Person(seq, 0, 'many'))
  for (const person of [few, ...many]) line.add(person)
  line.remove(returned)
  expect(line.least).toBe(many[1])
})

test('with a returned call at the lowest priority, the next priority is looked at', () => {
  const line = new FairQueue<Person>()
  const returned = new Person(0, -1)
  line.add(returned)
  line.serve(returned, 0.1)
  line.add(returned, true)
  const plain = new Person(1, 0)
  line.add(plain)
  expect(line.least).toBe(plain)
})

test('nobody is lost or served twice, whoever joins, leaves or comes back', () => {
  const step = fc.record({
    do: fc.constantFrom('add', 'add', 'serve', 'return', 'leave'),
    pick: fc.nat(),
    priority: fc.integer({ min: -2, max: 2 }),
    tenant: fc.constantFrom(undefined, 'a', 'b', 'c'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const line = new FairQueue<Person>()
      const [inside, served] = [new Set<Person>(), [] as Person[]]
      let seq = 0
      for (const { do: what, pick, priority, tenant } of steps) {
        const one = [...inside][pick % Math.max(1, inside.size)]
        if (what === 'add') {
          const person = new Person(++seq, priority, tenant)
          line.add(person)
          inside.add(person)
        } else if (what === 'serve' && line.first) {
          const { first } = line
          expect(inside.delete(first)).toBe(true)
          line.serve(first, 0.01 * (pick % 7))
          served.push(first)
        } else if (what === 'leave' && one) {
          line.remove(one)
          inside.delete(one)
        } else if (what === 'return' && served.length > 0) {
          const [person] = served.splice(pick % served.length, 1)
          line.add(person!, true)
          inside.add(person!)
        }
        expect(line.size).toBe(inside.size)
        expect(line.first === undefined).toBe(inside.size === 0)
      }
      expect(new Set(drained(line))).toEqual(inside)
    }),
  )
})

test('between two tenants with calls waiting, neither gets more than its share and one call', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 6 }), (shares) => {
      const line = new FairQueue<Person>()
      let seq = 0
      shares.forEach((_, tenant) => {
        for (let i = 0; i < 300; i++) line.add(new Person(++seq, 0, `t${tenant}`))
      })
      const used = shares.map(() => 0)
      for (let i = 0; i < 250; i++) {
        const next = line.first!
        const tenant = Number(next.tenant!.slice(1))
        line.serve(next, shares[tenant]!)
        used[tenant]! += shares[tenant]!
        expect(Math.max(...used) - Math.min(...used)).toBeLessThanOrEqual(Math.max(...shares))
      }
    }),
  )
})

// How long these take is measured by `npm run bench:overhead -- --only e`; a step that looks at all tenants would
// take minutes here.
test('100,000 tenants with a call each join and leave', () => {
  const line = new FairQueue<Person>()
  for (let i = 0; i < 100_000; i++) line.add(new Person(i, i % 3, `t${i}`))
  expect(drained(line)).toHaveLength(100_000)
  for (let i = 0; i < 100_000; i++) {
    line.add(new Person(i, 0, `u${i}`))
    line.serve(line.first!, 0.01)
  }
})

test('100,000 tenants in a line that is never empty', () => {
  const line = new FairQueue<Person>()
  for (let i = 0; i < 20; i++) line.add(new Person(i, 0, `first${i}`))
  for (let i = 0; i < 100_000; i++) {
    line.add(new Person(100 + i, 0, `t${i}`))
    line.serve(line.first!, 0.01)
  }
  expect(line.size).toBe(20)
})

test('10,000 priorities', () => {
  const line = new FairQueue<Person>()
  for (let i = 0; i < 10_000; i++) line.add(new Person(i, i / 7))
  const order = drained(line)
  expect(order[0]!.seq).toBe(9999)
  expect(order).toHaveLength(10_000)
})
