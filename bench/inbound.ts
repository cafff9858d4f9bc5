/**
 * Measures the cost of a guard per request and client, compared with alternative packages and other possible
 * designs. `npm run bench:inbound`. Figures are comparable only within one run (see measure.ts).
 *
 *   --quick   fewer rounds and clients: for a quick check, not for publication
 */
import { parseArgs } from 'node:util'
import { AMOUNT, contestants } from './inbound/jobs.ts'
import { cost, interleave, ratio } from './measure.ts'
import { printSection } from './table.ts'

const { quick } = parseArgs({ options: { quick: { type: 'boolean', default: false } } }).values
const module = new URL('inbound/jobs.ts', import.meta.url).href
const names = Object.keys(contestants)
const clients = quick ? 20_000 : 100_000
// A thousand clients, all within their limits, because accepted requests are measured.
const requests = 1000 * (AMOUNT - 1)

const timed = names.map((name) => `${name}@${requests}`)
const times = await interleave(module, timed, { rounds: quick ? 5 : 15 })

const weights = new Map<string, number>()
for (const name of names) {
  for (const each of [1, AMOUNT]) {
    const job = `${name}, ${each} each@${clients}`
    weights.set(job, cost(await interleave(module, [job], { rounds: 1, warmUp: 0 }), job))
  }
}

printSection({
  title: `a limit of ${AMOUNT} per 60 s, in memory`,
  notes: [
    `µs: ${requests.toLocaleString('en')} requests of 1,000 clients that pass; bytes: ${clients.toLocaleString('en')} clients`,
    'a middleware goes from a request to `next`, with headers',
  ],
  columns: [
    'µs a request',
    '× express-rate-limit',
    '× flexible',
    'bytes a client',
    `after ${AMOUNT} requests`,
  ],
  rows: names.map((name) => ({
    name,
    cells: [
      cost(times, `${name}@${requests}`),
      ratio(times, `${name}@${requests}`, `express-rate-limit, as a middleware@${requests}`),
      ratio(times, `${name}@${requests}`, `rate-limiter-flexible, memory@${requests}`),
      ...[1, AMOUNT].map((each) => Math.round(weights.get(`${name}, ${each} each@${clients}`)!)),
    ],
  })),
  goals: [],
})
