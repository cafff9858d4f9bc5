// `llmiter simulate`: runs the plan of its flags and reports the result.

import { writeFileSync } from 'node:fs'
import { readFlags, readPlan, type Flags } from './flags.ts'
import { HELP } from './help.ts'
import { best } from './optimum.ts'
import { providerOf, type JobPlan } from './plan.ts'
import { type Compared, printed, reportOf, shortly } from './report.ts'
import type { ClientName } from './client.ts'
import type { PlannedLimits, UsageTier } from './providers.ts'
import { run } from './run.ts'
import { ProgressLine } from '../progress.ts'
import { CannotError, command, UsageError } from '../usage.ts'

export const simulate = (args: string[]): Promise<number> =>
  command('simulate', async () => {
    await simulated(args, console.log)
    return 0
  })

/** Runs the simulation and reports the result. Throws a `UsageError` when the flags are invalid. */
export async function simulated(args: readonly string[], say: (text: string) => void): Promise<void> {
  const flags = readFlags(args)
  if (flags.help) say(HELP)
  else await simulatePlan(flags, say)
}

async function simulatePlan(flags: Flags, say: (text: string) => void): Promise<void> {
  const plan = await readPlan(flags)
  const compared = await compare(plan, flags.out !== undefined)
  const report = reportOf(plan, providerOf(plan, plan.tiers[0]!).name, compared)
  say(flags.json ? JSON.stringify(report, null, 2) : printed(report))
  if (flags.out === undefined) return
  writePage(flags.out, await pageOf(compared))
  if (!flags.json) say(`\n${flags.out} shows it second by second.`)
}

async function compare(plan: JobPlan, recorded: boolean): Promise<Compared[]> {
  const { tiers, pooled, clients } = plan
  const compared: Compared[] = []
  const progress = new ProgressLine()
  const add = async (tier: PlannedLimits, names: readonly ClientName[]) => {
    progress.show(0, 1, `${shortly(tier)}, optimum: `)
    const optimum = best(plan, tier)
    if (!optimum) throw new UsageError(`with ${shortly(tier)} these calls would never all be accepted`)
    const runs = []
    for (const client of names) {
      const what = `${shortly(tier)}, ${client}: `
      runs.push(await run(plan, tier, client, recorded, (over, all) => progress.show(over, all, what)))
    }
    compared.push({ tier, best: optimum, runs })
  }
  // Each target alone. Of equal targets, only the first.
  const alike = (tier: UsageTier) => tiers.find((other) => shortly(other) === shortly(tier))
  for (const tier of tiers) if (!pooled || alike(tier) === tier) await add(tier, clients)
  if (pooled) await add(tiers, ['pool'])
  progress.end()
  return compared
}

async function pageOf(compared: readonly Compared[]): Promise<string> {
  const { graphPage, seriesOf } = await import('../page/index.ts')
  return graphPage(
    compared.flatMap(({ runs }) =>
      runs.map(({ client, tier, records }) => ({
        title: `${client}, ${shortly(tier)}`,
        series: seriesOf(records),
      })),
    ),
    { title: 'llmiter simulate' },
  )
}

function writePage(file: string, page: string): void {
  try {
    writeFileSync(file, page)
  } catch (error) {
    throw new CannotError(`--out: ${file} cannot be written: ${(error as Error).message}`)
  }
}
