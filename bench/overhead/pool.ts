/**
 * What a pool adds to a call: two and ten targets compared with one limiter's own `run`, for the same calls.
 * Together the targets allow as many calls at once as the one limiter.
 */
import { createPool } from '../../src/pool/index.ts'
import { BucketRateLimiter, type LimiterOptions } from '../../src/index.ts'
import { type Contestant, llmiter, ONE_LIMIT } from '../contestants.ts'
import { cost, interleave, type Jobs, ratio, warmed } from '../measure.ts'
import type { Section } from '../table.ts'
import { turnOf } from './calls.ts'

const AT_ONCE = 10

const poolOf =
  (targets: number, options: Partial<LimiterOptions> = {}): Contestant =>
  () => {
    const pool = createPool({
      targets: Array.from({ length: targets }, (_, i) => ({
        name: `key ${i}`,
        limiter: new BucketRateLimiter({ ...ONE_LIMIT, name: `key ${i}`, ...options }),
      })),
    })
    return { run: (work) => pool.run(work) }
  }

const inLine = (targets: number) => poolOf(targets, { maxConcurrent: AT_ONCE / targets })

const contestants: Record<string, Contestant> = {
  'run, in line': llmiter({ ...ONE_LIMIT, maxConcurrent: AT_ONCE }),
  'pool of 2, in line': inLine(2),
  'pool of 10, in line': inLine(10),
  'run, no line': llmiter(ONE_LIMIT),
  'pool of 2, no line': poolOf(2),
  'pool of 10, no line': poolOf(10),
}

export const jobs: Jobs = Object.fromEntries(
  Object.entries(contestants).map(([name, contestant]) => [
    name,
    (calls) => warmed(turnOf(contestant, calls)),
  ]),
)

export async function poolSection(calls: number, rounds: number): Promise<Section> {
  const jobOf = (name: string) => `${name}@${calls}`
  const names = Object.keys(contestants)
  const costs = await interleave(import.meta.url, names.map(jobOf), { rounds })
  const besideRun = (name: string) => ratio(costs, jobOf(name), jobOf(name.replace(/^pool of \d+/, 'run')))
  const pools = names.filter((name) => name.startsWith('pool'))
  return {
    title: `h. A pool: ${calls.toLocaleString('en')} calls outstanding, run and drained (median of ${rounds} rounds)`,
    columns: ['µs a call', '× run'],
    rows: names.map((name) => ({ name: `  ${name}`, cells: [cost(costs, jobOf(name)), besideRun(name)] })),
    goals: pools.map((name) => ({ what: name, measured: besideRun(name), atMost: 1.5, unit: '× run' })),
  }
}
