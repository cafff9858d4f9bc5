/** bench/RESULTS.md: the report for people. Goals first, then the peers, then llmiter alone, then what each rule is worth. */
import { bounds, figure, isMet, verdict, type Goal } from '../table.ts'
import type { AblationReport, AblationRow } from './ablation/compare.ts'
import { RPM } from './models.ts'
import { changeText, textsOf } from './print.ts'
import type { Report, Table } from './report.ts'

const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '·')).join(' | ')} |`
/** Of what a rule changes, the most that is told in the table. */
const MOST_CHANGES = 4

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

/** The client has a column only where there are several. */
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

export function ablationLines({ rows, seeds, met, of }: AblationReport): string[] {
  return [
    `Each rule of the law switched off by itself (\`npm run bench:providers -- --ablate\`, a slice of the cases, ${seeds} seeds): the`,
    'figures of the goals with it → without it, each on its worst case, the largest changes first. The law as it is',
    `meets ${met} of ${of} goals on these cases. The first row switches nothing off: so much differs by chance alone.`,
    '',
    row(['rule', 'without it', 'worse', 'better', 'goals met']),
    row(['---', '---', '---', '---', '--:']),
    ...rows.map((rule) => {
      const { name, without, stale } = rule
      if (stale !== undefined) return row([name, without, `**not run**: ${stale}`, '', ''])
      const [worse, better] = [1, -1].map((sign) => told(rule, sign).join('<br>'))
      return row([name, without, worse || 'nothing', better || 'nothing', String(rule.met)])
    }),
  ]
}

/** One rule in one line, as evidence beside its explanation. */
export function ablationOf(rule: AblationRow): string {
  const [worse, better] = [told(rule, 1), told(rule, -1)]
  const parts = [
    worse.length > 0 ? worse.join('; ') : 'no goal gets worse',
    ...(better.length > 0 ? [`in return: ${better.join('; ')}`] : []),
  ]
  return `> **Without it** (${rule.without}): ${parts.join('; ')}.`
}

function told({ changes }: AblationRow, sign: number): string[] {
  const these = changes.filter(({ worse }) => worse * sign > 0)
  const rest = these.length - MOST_CHANGES
  return [...these.slice(0, MOST_CHANGES).map(changeText), ...(rest > 0 ? [`and ${rest} more`] : [])]
}
