/**
 * Measures how well clients pace: goodput, refusals and waits with providers that limit in different ways, in
 * virtual time and with fixed seeds. llmiter and its alternatives run together, and llmiter is judged by goals.
 *
 * `npm run bench:providers` writes bench/RESULTS.md, bench/results.json and the tables of docs/law.md. The same
 * seeds give the same numbers on every machine, except for the rows in real time.
 *
 *   --quick            2 seeds and the main cases: under 2 minutes
 *   --only a,b         providers, sections or cases, by name
 *   --clients a,b      only these clients
 *   --ablate           instead, the law with each of its rules switched off in turn
 *   --rules a,b        with --ablate: only these rules; --seeds (8), and --only for some of the objective's cases
 *   --merge            updates these rows and goals in earlier results
 *   --seeds N          the number of seeds per case
 *   --times            the time that each client and case takes on this machine
 *   --out DIR          where RESULTS.md and results.json go; without it a partial run writes nothing
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { ablations } from './providers/ablation/list.ts'
import { merged } from './providers/ablation/report.ts'
import { runAblations, SEEDS as SEEDS_OF_A_RULE } from './providers/ablation/run.ts'
import type { Case } from './providers/case.ts'
import { caseNames, cases, casesNamed } from './providers/cases.ts'
import { cellsOf, jobsOf, printTimes, seeded, SEEDS } from './providers/cells.ts'
import { clientNames } from './providers/clients/index.ts'
import { sections } from './providers/columns.ts'
import { fillTables } from './providers/fill.ts'
import { markdown } from './providers/markdown.ts'
import { printAblations, printReport } from './providers/print.ts'
import { readReport, renewed, writeReport, type Report } from './providers/report.ts'
import { targets } from './providers/targets.ts'
import { judge, tableOf } from './providers/verdicts.ts'
import { exitCodeOf } from './table.ts'

const HERE = new URL('./', import.meta.url)

const { quick, only, clients, ablate, rules, seeds, times, merge, out } = readFlags()
const effort = quick ? 'quick' : 'full'
const folder = out === undefined ? HERE : new URL(`${pathToFileURL(out)}/`)
const before = readReport(new URL('results.json', folder))
if (ablate) await ablation()
else await measured()

async function measured(): Promise<void> {
  const wanted = only === undefined ? cases : only.split(',').flatMap(namedCases)
  const asked = clients === undefined ? clientNames : clients.split(',').map(namedClient)
  const jobs = wanted
    .filter((one) => !quick || one.quick || only?.includes(one.id))
    .flatMap((one) =>
      one.clients
        .filter((name) => asked.includes(name))
        .flatMap((name) => (seeds ? seeded(one, name, seeds) : jobsOf(one, name, effort))),
    )
  const startedAt = performance.now()
  const cells = await cellsOf(jobs)
  const report: Report = {
    seeds: seeds ?? SEEDS[effort],
    goals: targets.flatMap((target) => judge(target, cells) ?? []),
    tables: sections.map((plan) => tableOf(plan, cells)).filter(({ rows }) => rows.length > 0),
    ...(before?.ablations && { ablations: before.ablations }),
  }
  printReport(report)
  console.log(`${jobs.length} runs, ${Math.round((performance.now() - startedAt) / 1000)} s`)
  if (times) printTimes(cells)
  process.exitCode = exitCodeOf(report.goals)
  if (merge && before)
    write(
      renewed(
        before,
        report,
        targets.map(({ what }) => what),
      ),
    )
  else if (out !== undefined || (!quick && only === undefined && clients === undefined)) write(report)
}

async function ablation(): Promise<void> {
  const named = rules?.split(',').map(namedRule) ?? ablations
  const ids = only?.split(',').flatMap((name) => namedCases(name).map(({ id }) => id))
  const [found, cells] = await runAblations(
    named,
    seeds ?? SEEDS_OF_A_RULE,
    (id) => ids?.includes(id) ?? true,
  )
  printAblations(found)
  if (times) printTimes(cells)
  const names = ablations.map(({ name }) => name)
  if (only === undefined || out !== undefined)
    write({
      ...(before ?? { seeds: 0, goals: [], tables: [] }),
      ablations: merged(before?.ablations, found, names),
    })
  if (found.rows.some(({ stale }) => stale !== undefined)) process.exitCode = 1
}

function write(report: Report): void {
  mkdirSync(folder, { recursive: true })
  writeReport(new URL('results.json', folder), report)
  writeFileSync(new URL('RESULTS.md', folder), markdown(report))
  if (folder === HERE) fillTables(new URL('../docs/law.md', HERE), report)
}

function namedCases(name: string): Case[] {
  return casesNamed(name) ?? fail(`--only takes ${caseNames().join(', ')} or the id of a case; got '${name}'`)
}

function namedClient(name: string) {
  const known = clientNames.find((client) => client === name)
  return known ?? fail(`--clients takes ${clientNames.join(', ')}; got '${name}'`)
}

function namedRule(name: string) {
  const known = ablations.find((rule) => rule.name === name)
  return known ?? fail(`--rules takes ${ablations.map((rule) => rule.name).join(', ')}; got '${name}'`)
}

function readFlags() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        clients: { type: 'string' },
        ablate: { type: 'boolean', default: false },
        rules: { type: 'string' },
        seeds: { type: 'string' },
        times: { type: 'boolean', default: false },
        merge: { type: 'boolean', default: false },
        out: { type: 'string' },
      },
    })
    const { ablate, rules, quick, clients } = values
    if (rules !== undefined && !ablate) fail('--rules goes with --ablate')
    if (ablate && (quick || clients !== undefined))
      fail('--ablate has cases of its own: it takes --rules, --seeds, --only, --times and --out')
    const seeds = values.seeds === undefined ? undefined : Number(values.seeds)
    if (seeds !== undefined && (!Number.isInteger(seeds) || seeds < 2))
      fail(`--seeds takes 2 or more; got '${values.seeds}'`)
    return { ...values, seeds }
  } catch (error) {
    return fail((error as Error).message)
  }
}

function fail(message: string): never {
  console.error(
    `bench:providers: ${message}\n` +
      'usage: node bench/providers.ts [--quick] [--only bucket-1s-none,outage] [--clients llmiter,aws]\n' +
      '       [--ablate [--rules dip,climb] [--seeds 8]] [--times] [--merge] [--out DIR]',
  )
  process.exit(2)
}
