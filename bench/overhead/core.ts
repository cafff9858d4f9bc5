/**
 * The pure core alone: the cost of one ticket from `enqueue` over `next` to `finish`, without promises, clocks or
 * timers. The bench advances the time, which is a number.
 */
import { type LimitsOptions, parseLimits } from '../../src/core/limit/parse-limits.ts'
import { Call } from '../../src/core/call.ts'
import { TicketIssuer } from '../../src/core/ticket-issuer.ts'
import { HUGE } from '../contestants.ts'
import { cost, interleave, type Jobs, microseconds, warmed } from '../measure.ts'
import type { Section } from '../table.ts'

const NEVER_WAITS = { requestsPerMinute: HUGE, burst: HUGE }
const COST = Object.freeze({ requests: 1 })

const cases: Record<string, (tickets: number) => void> = {
  'one after the other, nobody waits'(tickets) {
    const issuer = open(NEVER_WAITS)
    for (let now = 0; now < tickets; now++) {
      issuer.enqueue(new Call(issuer, COST), now)
      issuer.finish(issuer.next(now)!, undefined, now)
    }
  },
  'all in line, each goes when the one before is over'(tickets) {
    const issuer = open(NEVER_WAITS)
    for (let i = 0; i < tickets; i++) issuer.enqueue(new Call(issuer, COST), 0)
    for (let i = 0; i < tickets; i++) issuer.finish(issuer.next(0)!, undefined, 0)
  },
  'all in line, each at its time, 6,000 a minute'(tickets) {
    const issuer = open({ requestsPerMinute: 6000 })
    for (let i = 0; i < tickets; i++) issuer.enqueue(new Call(issuer, COST), 0)
    let now = 0
    for (let issued = 0; issued < tickets;) {
      const call = issuer.next(now)
      if (call) {
        issuer.finish(call, undefined, now)
        issued++
      } else now = issuer.wakeAt
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

function open(limits: LimitsOptions): TicketIssuer {
  return new TicketIssuer({
    limits: parseLimits(limits),
    ramp: false,
    random: () => 0.5,
    wall: { offsetMs: 0 },
  })
}
