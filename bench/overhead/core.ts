/**
 * The pure core alone: what one ticket costs from `enqueue` over `next` to `finish`, with no promise, clock or
 * timer around it. Time is a number that the bench moves on.
 */
import { type LimitsOptions, parseLimits } from '../../src/core/limit/parse-limits.ts'
import { Call } from '../../src/core/call.ts'
import { Office } from '../../src/core/ticket-issuer.ts'
import { HUGE } from '../contestants.ts'
import { cost, interleave, type Jobs, microseconds, warmed } from '../measure.ts'
import type { Section } from '../table.ts'

const NEVER_WAITS = { requestsPerMinute: HUGE, burst: HUGE }
const COST = Object.freeze({ requests: 1 })

const cases: Record<string, (tickets: number) => void> = {
  'one after the other, nobody waits'(tickets) {
    const office = open(NEVER_WAITS)
    for (let now = 0; now < tickets; now++) {
      office.enqueue(new Call(office, COST), now)
      office.finish(office.next(now)!, undefined, now)
    }
  },
  'all in line, each goes when the one before is over'(tickets) {
    const office = open(NEVER_WAITS)
    for (let i = 0; i < tickets; i++) office.enqueue(new Call(office, COST), 0)
    for (let i = 0; i < tickets; i++) office.finish(office.next(0)!, undefined, 0)
  },
  'all in line, each at its time, 6,000 a minute'(tickets) {
    const office = open({ requestsPerMinute: 6000 })
    for (let i = 0; i < tickets; i++) office.enqueue(new Call(office, COST), 0)
    let now = 0
    for (let issued = 0; issued < tickets;) {
      const call = office.next(now)
      if (call) {
        office.finish(call, undefined, now)
        issued++
      } else now = office.wakeAt
    }
  },
}

export const jobs: Jobs = Object.fromEntries(
  Object.entries(cases).map(([name, run]) => [
    name,
    (tickets) => warmed(() => microseconds(tickets, () => run(tickets))),
  ]),
)

export async function coreSection(tickets: number, rounds: number): Promise<Section> {
  const jobOf = (name: string) => `${name}@${tickets}`
  const names = Object.keys(cases)
  const costs = await interleave(import.meta.url, names.map(jobOf), { rounds })
  return {
    title: `b. The pure core, ${tickets.toLocaleString('en')} tickets of one limit (median of ${rounds} rounds)`,
    columns: ['µs a ticket'],
    rows: names.map((name) => ({ name, cells: [cost(costs, jobOf(name))] })),
    goals: names.map((name) => ({ what: name, measured: cost(costs, jobOf(name)), atMost: 0.3, unit: 'µs' })),
  }
}

function open(limits: LimitsOptions): Office {
  return new Office({
    limits: parseLimits(limits),
    ramp: false,
    random: () => 0.5,
    wall: { offsetMs: 0 },
  })
}
