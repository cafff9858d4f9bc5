/**
 * Compares the cost of a job in `llmiter/bottleneck` and in Bottleneck itself. `npm run bench:bottleneck`. Figures
 * are comparable only within one run (see measure.ts). Exits with 1 if the goal is missed.
 *
 *   --quick   fewer jobs and rounds: for a quick check, not for publication
 */
import { parseArgs } from 'node:util'
import { cost, interleave, ratio } from './measure.ts'
import { exitCodeOf, printSection } from './table.ts'

const { quick } = parseArgs({ options: { quick: { type: 'boolean', default: false } } }).values
const [facade, original] = ['llmiter/bottleneck', 'bottleneck'].map(
  (name) => `${name}@${quick ? 1000 : 10_000}`,
) as [string, string]
const costs = await interleave(new URL('bottleneck/jobs.ts', import.meta.url).href, [facade, original], {
  rounds: quick ? 3 : 5,
})
const goals = [
  {
    what: 'jobs a second',
    measured: ratio(costs, original, facade),
    atLeast: 100,
    unit: "times Bottleneck's",
  },
]
printSection({
  title: `${facade.split('@')[1]} jobs outstanding, ten at a time`,
  columns: ['µs a job', 'times as many a second'],
  rows: [
    { name: 'llmiter/bottleneck', cells: [cost(costs, facade), ratio(costs, original, facade)] },
    { name: 'bottleneck', cells: [cost(costs, original), 1] },
  ],
  goals,
})
process.exitCode = exitCodeOf(goals)
