// Runs the recipe of the documentation unchanged against a real server: killed in the middle of a line, and run
// again.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import * as replies from '../clients/fixtures/openai.ts'
import { startServer } from '../clients/server.ts'
import { execute } from '../support/blocks.ts'
import { blocksOf } from '../support/markdown.ts'
import { tempDir } from '../support/temp.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/batch.md'), 'utf8')
const recipe = blocksOf('docs/batch.md', page).find(({ code }) => code.includes('answers.jsonl'))!

test('an incomplete last line repeats only its own prompt', { timeout: 60_000 }, async () => {
  const server = await startServer()
  onTestFinished(() => server.close())
  server.replies(replies.responses())
  const folder = tempDir()
  const file = join(folder, 'answers.jsonl')
  const lines = [0, 1, 2, 3].map((key) => JSON.stringify({ key, text: 'Zwölf' }))
  writeFileSync(file, `${lines.join('\n')}\n${JSON.stringify({ key: 4, text: 'Zwölf' }).slice(0, 19)}`)
  // With as many prompts, and at such a rate, as the test has time for.
  const code = recipe.code
    .replace('length: 5000', 'length: 12')
    .replace('requestsPerMinute: 500', 'requestsPerMinute: 6000')
  const env = { OPENAI_API_KEY: 'any', OPENAI_BASE_URL: `${server.url}/v1` }
  const { stderr } = await execute({ ...recipe, code }, folder, env)
  const keys = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { key: number }).key)
  expect(keys.slice(0, 4)).toEqual([0, 1, 2, 3])
  expect(keys.sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i))
  expect(server.seen.length).toBe(8)
  expect(stderr).toMatch(/done \.+ 8: 8 answered, 0 failed; 4 skipped\ntime \.+ /)
})
