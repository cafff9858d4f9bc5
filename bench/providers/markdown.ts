/**
 * Writes bench/RESULTS.md: goals first, then the comparison with alternatives, then llmiter alone, then the value
 * of each rule.
 */
import { bounds, figure, isMet, verdict, type Goal } from '../table.ts'
import { moreText, partsText, type AblationReport, type AblationRow } from './ablation/report.ts'
import { RPM } from './models.ts'
import { textsOf } from './print.ts'
import type { Report, Table } from './report.ts'

const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '·')).join(' | ')} |`

export function markdown({ seeds, goals, tables, ablations }: Report): string {
  const lines = [
    '# Pacing quality',
    '',
    `Written by \`npm run bench:providers\`: virtual time, seeds 1 to ${seeds} (outages more), each with its own phase`,
    `of the window, a limit of ${RPM} requests a minute unless said. Calls are 10 ms and up to J (50 ms) on their way,`,
    'refusals back within 10–40 ms, answers lognormal (median 0.8 s, σ 0.8). How: `bench/providers/world.ts`.',
    'The same figures for programs: `results.json`.',
    '',
    `## Goals: ${goals.filter(isMet).length} of ${goals.length} met`,
    '',
    ...goalLines(goals),
  ]
  for (const table of tables) {
    const { title, notes } = table
    lines.push('', `## ${title}`, '', ...notes.map((note) => `- ${note}`), ...(notes.length > 0 ? [''] : []))
    lines.push(...tableLines(table))
  }
  if (ablations) lines.push('', '## What each rule is worth', '', ...ablationLines(ablations))
  return `${lines.join('\n')}\n`
}

export function goalLines(goals: readonly Goal[]): string[] {
  return [
    row(['goal', 'bound', 'measured', 'result', 'where']),
    row(['---', '--:', '--:', '---', '---']),
    ...goals.map((goal) => {
      const judged = verdict(goal).replace('NOT MET', '**NOT MET**')
      return row([goal.what, bounds(goal), figure(goal.measured), judged, goal.where ?? ''])
    }),
  ]
}

/** The client has a column only if there are several. */
export function tableLines(table: Table): string[] {
  const { columns, rows } = table
  const several = new Set(rows.map(({ client }) => client)).size > 1
  const names = several ? ['case', 'client'] : ['case']
  return [
    row([...names, ...columns.map(({ name }) => name)]),
    row([...names.map(() => '---'), ...columns.map(() => '--:')]),
    ...rows.map((one) => row([one.title, ...(several ? [one.client] : []), ...textsOf(table, one)])),
  ]
}

export function ablationLines({ rows, seeds, loss }: AblationReport): string[] {
  return [
    `Each rule of the law switched off by itself (\`npm run bench:providers -- --ablate\`, ${seeds} seeds): how much more the`,
    `law loses without it, with the 95 % interval, and in which parts of the objective. The law as it is loses`,
    `${loss.mean.toFixed(2)} ± ${loss.halfWidth.toFixed(2)}. A loss of 1 is a hundredth of the time, or one refusal in a thousand calls;`,
    '`bench/providers/objective.ts` has the parts and their weights.',
    '',
    row(['rule', 'without it', 'loss', 'worse', 'better']),
    row(['---', '---', '--:', '---', '---']),
    ...rows.map((rule) => {
      const { name, without, more, stale } = rule
      if (stale !== undefined) return row([name, without, `**not run**: ${stale}`, '', ''])
      return row([name, without, moreText(more), partsText(rule, 1), partsText(rule, -1)])
    }),
  ]
}

/** One rule in one line, as evidence next to its explanation. */
export function ablationOf(rule: AblationRow): string {
  const [worse, better] = [partsText(rule, 1), partsText(rule, -1)]
  const parts = [worse, better && `in return: ${better}`].filter(Boolean).join('; ')
  return `> **Without it** (${rule.without}) the loss is ${moreText(rule.more)}${parts && `: ${parts}`}.`
}
