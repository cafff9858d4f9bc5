// What the demo says: which limit binds, and lines that no terminal wraps, since such a line cannot be rewritten.

import { afterEach, expect, test, vi } from 'vitest'
import { estimateTokens } from 'llmiter'
import type { CrowdResult } from '../../examples/support/crowd.ts'
import { headline } from '../../examples/support/headline.ts'
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
  expect(progressLine(result)).toBe('with llmiter  100/400  1026 refused   20 lost  12.0 s  28 s left')
  expect(progressLine({ ...result, finished: 380 }, 62)).not.toContain('left')
  // After the first few calls, the remaining time is still unknown.
  expect(progressLine({ ...result, finished: 3, lost: 1 })).toMatch(/12\.0 s$/)
  // In a narrow terminal what is left matters more than what is over, and whose line it is.
  expect(progressLine(result, 60)).toBe('with llmiter  100/400  1026 refused   20 lost  28 s left')
  expect(progressLine({ ...result, finished: 380 }, 60)).toMatch(/^with llmiter .* 12\.0 s$/)
})

test('words are wrapped between them', () => {
  expect(wrapped('one two three\nfour', 7)).toBe('one two\nthree\nfour')
})

const settings = { model: 'gpt-5', calls: 4000, requestsPerMinute: 1200, tokensPerMinute: 200_000 }
const prompt = 'In one word: what is 0 plus 0?'
const tokens = estimateTokens([{ input: prompt }]).inputTokens

test('the headline names requests where calls are small, and says from which size on tokens bind', () => {
  expect(headline(settings, prompt)).toBe(
    '4,000 calls at once to a server on this machine. The limit that binds is 1,200 requests a minute while ' +
      `a call takes fewer than 167 tokens; these take about ${tokens}, and with longer answers ` +
      '200,000 tokens a minute would bind.',
  )
})

test('the headline names tokens where they bind, and what the API is asked for', () => {
  const scarce = { ...settings, tokensPerMinute: 1200 * tokens, liveKey: 'sk-live' }
  const said = headline(scarce, prompt)
  expect(said).toBe(
    `4,000 calls at once to the real API, twice. The limit that binds is ${(1200 * tokens).toLocaleString('en')} ` +
      `tokens a minute, since a call takes about ${tokens} tokens; 1,200 requests a minute would allow more.`,
  )
  expect(said).not.toContain('sk-live')
  // A token more a minute, and requests bind.
  expect(headline({ ...scarce, tokensPerMinute: 1200 * tokens + 1 }, prompt)).toContain('is 1,200 requests')
})
