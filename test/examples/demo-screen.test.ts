// The demo on narrow terminals: a line that wraps cannot be rewritten.

import { afterEach, expect, test, vi } from 'vitest'
import type { CrowdResult } from '../../examples/support/crowd.ts'
import { printTable, progressLine, wrapped } from '../../examples/support/screen.ts'

const result: CrowdResult = {
  ...{ name: 'with llmiter', calls: 400, finished: 100, lost: 20, refused: 1026, elapsedMs: 12_000 },
  ...{ waitsMs: [100, 2000], firstError: 'refused (429) after two retries, and much more was said' },
}

afterEach(() => vi.restoreAllMocks())

test.each([24, 30, 40, 50, 61, 62, 80, 120])('at %i columns no line wraps', (columns) => {
  expect(progressLine(result, columns).length).toBeLessThan(columns)
  const printed: string[] = []
  vi.spyOn(console, 'log').mockImplementation((text: string) => void printed.push(...text.split('\n')))
  printTable([result], columns)
  for (const line of printed) expect(line.length).toBeLessThanOrEqual(columns)
})

test('the line tells of how many, and how long it will take', () => {
  expect(progressLine(result)).toBe('with llmiter  100/400  1026 refused   20 lost  12.0 s 28.0 s left')
  expect(progressLine({ ...result, finished: 380 }, 62)).not.toContain('left')
})

test('words are wrapped between them', () => {
  expect(wrapped('one two three\nfour', 7)).toBe('one two\nthree\nfour')
})
