// A rule that can no longer be switched off must be noticed, and the value of a rule must be reported in its unit.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { ablations } from '../../bench/providers/ablation/list.ts'
import { sourceWithout, stale } from '../../bench/providers/ablation/patch.ts'
import { isWorth, merged, type AblationRow } from '../../bench/providers/ablation/report.ts'
import type { Cell, Figures } from '../../bench/providers/case.ts'
import { cases } from '../../bench/providers/cases.ts'
import { filled } from '../../bench/providers/fill.ts'
import { ablationLines, ablationOf, tableLines } from '../../bench/providers/markdown.ts'
import { lossByPart, lossOf, objective, partOf } from '../../bench/providers/objective.ts'
import { readReport, renewed, writeReport, type Report } from '../../bench/providers/report.ts'
import { typeChecker } from '../support/type-checker.ts'

const CORE = fileURLToPath(new URL('../../src/core/', import.meta.url))

const goal = { what: 'told twice: goodput', measured: 98.5, atLeast: 98, unit: '%', cases: 15 }
const refusals = { what: 'told twice: refusals', measured: 1, atMost: 1.5, unit: 'per 1,000', cases: 15 }

describe('rules', () => {
  it.each(ablations.map((rule) => [rule.name, rule] as const))('%s can be switched off', (_, rule) => {
    expect(stale(rule)).toBeUndefined()
    expect(rule.replacement).not.toBe(rule.fragment)
  })

  it('leave source behind whose types are right when switched off', () => {
    const check = typeChecker()
    const wrong = ablations.flatMap((rule) => {
      const path = join(CORE, rule.file)
      const faults = check(path, sourceWithout(rule, readFileSync(path, 'utf8')))
      return faults.map((fault) => `${rule.name}: ${fault}`)
    })
    expect(wrong).toEqual([])
    expect(check(join(CORE, 'ticket-issuer.ts'), 'export const rate: number = gone.rate')).toEqual([
      "Cannot find name 'gone'.",
    ])
  })

  it('have names of their own', () => {
    expect(new Set(ablations.map(({ name }) => name)).size).toBe(ablations.length)
  })

  it('say what is missing when the source has changed', () => {
    const gone = { ...ablations[0]!, name: 'gone', fragment: 'const GONE = 1' }
    expect(stale(gone)).toMatch(/'gone': src\/core\/.* 0 times: const GONE = 1/)
  })

  it('are off in the law that is loaded then, and on in all else', () => {
    const program = (rule: string) => `
      import { switchOff } from './bench/providers/ablation/patch.ts'
      ${rule && `switchOff('${rule}')`}
      const { JITTER_MS } = await import('./src/core/limit/gcra.ts')
      console.log(JITTER_MS)`
    const jitter = (rule: string) =>
      execFileSync(process.execPath, ['--input-type=module', '-e', program(rule)], {
        encoding: 'utf8',
      }).trim()
    expect([jitter(''), jitter('spacing')]).toEqual(['50', '0'])
  })
})

const cellOf = (id: string, each: readonly Figures[]): Cell => ({
  case: cases.find((one) => one.id === id)!,
  client: 'llmiter',
  pooled: each[0]!,
  each,
})
/** A batch that took this multiple of the ideal time, with this many refusals per thousand calls. */
const batch = (times: number, refused = 0): Figures => ({
  counts: { admitted: 1000, refused, overtakings: 0 },
  samples: { timesBest: [times] },
})
const weights = objective.reduce((sum, { weight }) => sum + weight, 0)
const row = (more: AblationRow['more']): AblationRow => ({
  name: 'dip',
  without: 'no dip',
  more,
  parts: [
    { name: 'growth', mean: 0.6, halfWidth: 0.1 },
    { name: 'strict', mean: -0.2, halfWidth: 0.1 },
    { name: 'noise', mean: 0.1, halfWidth: 0.2 },
  ],
})

describe('the objective', () => {
  it('has cases for each of its parts, and none that two parts share', () => {
    const ofPart = (part: (typeof objective)[number]) =>
      cases.filter(({ id, clients }) => part.cases.test(id) && clients.includes(part.client ?? 'llmiter'))
    for (const part of objective) expect(ofPart(part), part.name).not.toEqual([])
    const all = objective.flatMap(ofPart)
    expect(new Set(all).size).toBe(all.length)
  })

  it('counts a hundredth of the time like one refusal in a thousand, by the weight of the part', () => {
    const [late, refused] = [batch(1.02), batch(1, 2)].map((one) =>
      lossOf([cellOf('foreign/growth', [one, one])]),
    )
    const { weight } = partOf({ case: cellOf('foreign/growth', []).case, client: 'llmiter' })!
    expect(late!.mean).toBeCloseTo((2 * weight) / weights)
    expect(refused!.mean).toBeCloseTo(late!.mean)
    expect(late!.halfWidth).toBe(0)
  })

  it('compares seed by seed, so that a difference smaller than that of the seeds shows', () => {
    const full = [cellOf('foreign/growth', [batch(1.1), batch(1.5), batch(1.3)])]
    const without = [cellOf('foreign/growth', [batch(1.12), batch(1.52), batch(1.32)])]
    const more = lossOf(without, full)
    expect(more.halfWidth).toBeLessThan(more.mean)
    expect(lossOf(full).halfWidth).toBeGreaterThan(10 * more.mean)
    expect(lossByPart(without, full)[0]).toMatchObject({ name: 'growth', mean: more.mean })
  })

  it('a run that never ends is as bad as can be, and not worse', () => {
    const [bad, worse] = [batch(4), batch(Infinity)].map(
      (one) => lossOf([cellOf('foreign/growth', [one])]).mean,
    )
    expect(worse).toBe(bad)
  })
})

describe('what a rule is worth', () => {
  it('must be statistically significant, or the rule is dropped', () => {
    expect([0.3, 0.1, -0.3].map((mean) => isWorth(row({ mean, halfWidth: 0.2 })))).toEqual([
      true,
      false,
      false,
    ])
  })

  it('is printed as one line, without differences that may be chance', () => {
    expect(ablationOf(row({ mean: 0.5, halfWidth: 0.15 }))).toBe(
      '> **Without it** (no dip) the loss is +0.50 ± 0.15: growth +0.60; in return: strict −0.20.',
    )
    const lines = ablationLines({
      seeds: 8,
      loss: { mean: 4, halfWidth: 1 },
      rows: [row({ mean: 0, halfWidth: 1 })],
    })
    expect(lines.at(-1)).toBe('| dip | no dip | +0.00 ± 1.00 | growth +0.60 | strict −0.20 |')
  })

  it('measured by itself, a rule renews its own row; one that is gone has none', () => {
    const [old, now] = [0.1, 0.9].map((mean) => ({ ...row({ mean, halfWidth: 0 }) }))
    const others = ['gone', 'climb'].map((name) => ({ ...old!, name }))
    const loss = { mean: 4, halfWidth: 1 }
    const before = { seeds: 2, loss, rows: [...others, old!] }
    const after = merged(before, { seeds: 8, loss, rows: [now!] }, ['dip', 'climb'])
    expect(after.rows.map(({ name, more }) => [name, more.mean])).toEqual([
      ['dip', 0.9],
      ['climb', 0.1],
    ])
  })
})

it('a report is read as it was written, with what never came', () => {
  const file = new URL(`file://${mkdtempSync(join(tmpdir(), 'bench-'))}/results.json`)
  const never = { ...refusals, measured: Infinity }
  const report = {
    seeds: 6,
    goals: [goal, never],
    tables: [],
    ablations: { seeds: 2, loss: { mean: 4, halfWidth: 1 }, rows: [row({ mean: -Infinity, halfWidth: 1 })] },
  }
  expect(readReport(file)).toBeUndefined()
  writeReport(file, report)
  expect(readReport(file)).toEqual(report)
  rmSync(new URL('./', file), { recursive: true })
})

it('part of a run renews its rows and goals; a fault that another row shows is still told', () => {
  const never = { what: 'lost', measured: 3, atMost: 0, unit: 'calls', cases: 9 }
  const line = (client: string, value: number) => ({ case: 'a', title: 'A', client, values: [value] })
  const report = (goals: Report['goals'], rows: Report['tables'][0]['rows']): Report => ({
    seeds: 6,
    goals,
    tables: [{ id: 'slow', title: 'Slow', notes: [], columns: [{ name: 'x', digits: 0 }], rows }],
  })
  const before = report([goal, refusals, never], [line('llmiter', 1), line('aws', 2)])
  const now = report(
    [
      { ...goal, measured: 99 },
      { ...never, measured: 0, cases: 4 },
    ],
    [line('llmiter', 9)],
  )
  const after = renewed(before, now, ['lost', goal.what])
  expect(after.goals.map(({ what, measured }) => [what, measured])).toEqual([
    ['lost', 3],
    [goal.what, 99],
  ])
  expect(after.tables[0]!.rows).toEqual([line('llmiter', 9), line('aws', 2)])
})

describe('tables in a text', () => {
  const report: Report = {
    seeds: 2,
    goals: [goal],
    tables: [
      {
        id: 'fleet',
        title: 'Fleet',
        notes: [],
        columns: [
          { name: 'goodput %', digits: 1 },
          { name: 'recovered s', digits: 1 },
        ],
        rows: [{ case: 'fleet/a', title: 'a', client: 'llmiter', values: [99, 'never'] }],
      },
    ],
  }
  const text = (name: string) => `before\n<!-- bench: ${name} -->\nold\n<!-- /bench -->\nafter`

  it('stand between their marks, and are the same when written again', () => {
    const once = filled(text('table fleet'), report)
    expect(once).toBe(
      [
        'before',
        '<!-- bench: table fleet -->',
        '',
        ...tableLines(report.tables[0]!),
        '',
        '<!-- /bench -->',
        'after',
      ].join('\n'),
    )
    expect(once).toContain('| a | 99.0 | never |')
    expect(filled(once, report)).toBe(once)
  })

  it('that are not in the report stay as they are', () => {
    expect(filled(text('ablation dip'), report)).toBe(text('ablation dip'))
    expect(filled(text('goals'), report)).toContain('| told twice: goodput | ≥ 98 % |')
  })
})
