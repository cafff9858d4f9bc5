/** bench/RESULTS.md: the tables and the verdicts, without date or machine, so that a new run shows what changed. */
import { bounds, figure, isMet, verdict, type Goal, type Section } from '../table.ts'
import { RPM } from './models.ts'

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
const cell = (text: string | undefined) => (text ?? '–').replaceAll('|', '·')

export function markdown(sections: readonly Section[], goals: readonly Goal[], seeds: number): string {
  const lines = [
    '# Pacing quality',
    '',
    `Written by \`npm run bench:providers\`: virtual time, seeds 1 to ${seeds} (outages more), each with its own phase`,
    `of the window, a limit of ${RPM} requests a minute unless said. Calls are 10 ms and up to J (50 ms) on their way,`,
    'refusals back within 10–40 ms, answers lognormal (median 0.8 s, σ 0.8). How: `bench/providers/world.ts`.',
    '',
    `## Goals: ${goals.filter(isMet).length} of ${goals.length} met`,
    '',
    row(['goal', 'bound', 'measured', '', 'where']),
    row(['---', '--:', '--:', '---', '---']),
    ...goals.map((goal) =>
      row([
        goal.what,
        bounds(goal),
        figure(goal.measured),
        verdict(goal).replace('NOT MET', '**NOT MET**'),
        goal.where ?? '',
      ]),
    ),
  ]
  for (const { title, notes = [], columns, rows } of sections) {
    lines.push('', `## ${title}`, '', ...notes.map((note) => `- ${note}`), ...(notes.length > 0 ? [''] : []))
    lines.push(row(['case', 'client', ...columns]), row(['---', '---', ...columns.map(() => '--:')]))
    for (const { name, cells } of rows) {
      const [title, client] = name.split(' | ') as [string, string]
      lines.push(
        row([title, client, ...cells.map((one) => cell(typeof one === 'number' ? figure(one) : one))]),
      )
    }
  }
  return `${lines.join('\n')}\n`
}
