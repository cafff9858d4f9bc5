// A rule that cannot be switched off any more must be noticed, and what a rule is worth must be told in its unit.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compare } from '../../bench/providers/ablation/compare.ts'
import { ablations } from '../../bench/providers/ablation/list.ts'
import { stale } from '../../bench/providers/ablation/patch.ts'
import { filled } from '../../bench/providers/fill.ts'
import { ablationOf, tableLines } from '../../bench/providers/markdown.ts'
import { readReport, writeReport, type Report } from '../../bench/providers/report.ts'

const goal = { what: 'told twice: goodput', measured: 98.5, atLeast: 98, unit: '%' }
const refusals = { what: 'told twice: refusals', measured: 1, atMost: 1.5, unit: 'per 1,000' }

describe('rules', () => {
  it.each(ablations.map((rule) => [rule.name, rule] as const))('%s can be switched off', (_, rule) => {
    expect(stale(rule)).toBeUndefined()
    expect(rule.replacement).not.toBe(rule.fragment)
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

describe('what a rule is worth', () => {
  it('is told in slacks of the goal, the largest first', () => {
    const changes = compare(
      [goal, refusals],
      [
        { ...goal, measured: 98.1 },
        { ...refusals, measured: 4 },
      ],
    )
    expect(changes.map(({ what, worse }) => [what, Number(worse.toFixed(2))])).toEqual([
      ['told twice: refusals', 2],
      ['told twice: goodput', 0.2],
    ])
    expect(changes[0]!.met).toEqual({ full: true, without: false })
  })

  it('leaves out what hardly moved, and what never came is as bad as can be', () => {
    expect(compare([goal], [{ ...goal, measured: 98.6 }])).toEqual([])
    expect(compare([refusals], [{ ...refusals, measured: Infinity }])[0]!.worse).toBe(Infinity)
    expect(compare([{ ...refusals, measured: Infinity }], [{ ...refusals, measured: Infinity }])).toEqual([])
  })

  it('reads as a line', () => {
    const changes = compare(
      [goal, refusals],
      [
        { ...goal, measured: 90 },
        { ...refusals, measured: 0.5 },
      ],
    )
    const row = { name: 'dip', without: 'no dip', changes, met: 3 }
    expect(ablationOf(row)).toBe(
      '> **Without it** (no dip): told twice: goodput 98.5 → 90 %; in return: told twice: refusals 1 → 0.500 per 1,000.',
    )
  })
})

it('a report is read as it was written, with what never came', () => {
  const file = new URL(`file://${mkdtempSync(join(tmpdir(), 'bench-'))}/results.json`)
  const never = { ...refusals, measured: Infinity }
  const row = { name: 'dip', without: 'no dip', changes: compare([goal, never], [goal, refusals]), met: 1 }
  const report = {
    seeds: 6,
    goals: [goal, never],
    tables: [],
    ablations: { seeds: 2, met: 1, of: 2, rows: [row] },
  }
  expect(readReport(file)).toBeUndefined()
  writeReport(file, report)
  expect(row.changes[0]!.worse).toBe(-Infinity)
  expect(readReport(file)).toEqual(report)
  rmSync(new URL('./', file), { recursive: true })
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

  it('that are not there are told', () => {
    expect(filled(text('ablation dip'), report)).toContain('_Not measured yet: ablation dip._')
    expect(filled(text('goals'), report)).toContain('| told twice: goodput | ≥ 98 % |')
  })
})
