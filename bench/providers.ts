/**
 * How well clients pace: goodput, refusals and waits against providers that limit in different ways, in virtual
 * time, with fixed seeds; llmiter and its peers in the same run, and the goals it is judged by.
 * `npm run bench:providers` writes bench/RESULTS.md; the same seeds give the same numbers on every machine, but
 * for the rows in real time.
 *
 *   --quick            2 seeds and the main cases: under 2 minutes, writes no RESULTS.md
 *   --only a,b         providers, sections or cases, by name
 *   --clients a,b      these clients only
 *   --json FILE        what was measured, for other programs
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { pool, type Case, type Cell, type ClientName, type Figures } from './providers/case.ts'
import { caseNames, cases, casesNamed } from './providers/cases.ts'
import { clientNames } from './providers/clients/index.ts'
import { sections } from './providers/columns.ts'
import { markdown } from './providers/markdown.ts'
import { targets } from './providers/targets.ts'
import { judge, sectionOf } from './providers/verdicts.ts'
import { runJobs, type Job } from './providers/workers.ts'
import { isMet, printGoals, printSection, writeJson } from './table.ts'

const SEEDS = { full: 6, quick: 2 }

const { quick, only, clients, json } = readFlags()
const wanted = only === undefined ? cases : only.split(',').flatMap(namedCases)
const asked = clients === undefined ? clientNames : clients.split(',').map(namedClient)

const jobs = wanted
  .filter((one) => !quick || one.quick || only?.includes(one.id))
  .flatMap((one) =>
    one.clients
      .filter((name) => asked.includes(name))
      .filter((name) => !quick || name === 'llmiter' || one.quick === 'peers' || only?.includes(one.id))
      .flatMap((name) => jobsOf(one, name)),
  )
const results = new Map<string, { job: Job; all: Figures[] }>()
const startedAt = performance.now()
let done = 0
await runJobs(jobs, (job, figures) => {
  const key = `${job.case.id} ${job.client}`
  const result = results.get(key) ?? { job, all: [] }
  result.all.push(figures)
  results.set(key, result)
  if (process.stderr.isTTY) process.stderr.write(`\r${++done} of ${jobs.length} runs`)
})

// In the order of the plan, not in that of the workers.
const cells = [...new Set(jobs.map((job) => `${job.case.id} ${job.client}`))].map((key): Cell => {
  const { job, all } = results.get(key)!
  return { case: job.case, client: job.client, pooled: pool(all) }
})
const told = sections.map((plan) => sectionOf(plan, cells)).filter(({ rows }) => rows.length > 0)
const goals = targets.flatMap((target) => judge(target, cells) ?? [])
for (const section of told) printSection(section)
console.log('\nGoals, each on the worst of its cases')
printGoals(goals)
const seconds = Math.round((performance.now() - startedAt) / 1000)
console.log(
  `\n${goals.filter(isMet).length} of ${goals.length} goals met (${jobs.length} runs, ${seconds} s)`,
)
if (json !== undefined) writeJson(json, { quick, only, clients, seeds: SEEDS }, told, goals)
if (!quick && only === undefined && clients === undefined) {
  writeFileSync(new URL('RESULTS.md', import.meta.url), markdown(told, goals, SEEDS.full))
}

function jobsOf(one: Case, client: ClientName): Job[] {
  const seeds = (one.seeds ?? SEEDS)[quick ? 'quick' : 'full']
  return Array.from({ length: seeds }, (_, i) => ({ case: one, client, seed: i + 1 }))
}

function namedCases(name: string): Case[] {
  return casesNamed(name) ?? fail(`--only takes ${caseNames().join(', ')} or the id of a case; got '${name}'`)
}

function namedClient(name: string): ClientName {
  const known = clientNames.find((client) => client === name)
  return known ?? fail(`--clients takes ${clientNames.join(', ')}; got '${name}'`)
}

function readFlags() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        clients: { type: 'string' },
        json: { type: 'string' },
      },
    })
    return values
  } catch (error) {
    return fail((error as Error).message)
  }
}

function fail(message: string): never {
  console.error(
    `bench:providers: ${message}\n` +
      'usage: node bench/providers.ts [--quick] [--only bucket-1s-none,outage] [--clients llmiter,aws] [--json FILE]',
  )
  process.exit(2)
}
