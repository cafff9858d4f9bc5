// The recipes of docs/clients.md for other SDKs, with the real packages in the versions named there: a refused call waits
// and is sent again by the limiter alone, and a call that fails is sent once. It downloads a thousand packages,
// so it runs only when it is asked to: `LLMITER_RECIPES=1 npm run test:package recipes`.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/clients.md'), 'utf8')
const recipes = [...page.matchAll(/^\| (@?[\w/.-]+) (\d[\d.]*) .*\|$/gm)].map(([, name, version]) => ({
  name: name!,
  version: version!,
}))
const { version: openai } = JSON.parse(
  readFileSync(join(root, 'node_modules/openai/package.json'), 'utf8'),
) as { version: string }

/** The text next to them in the recipes. */
const BESIDE = [
  `openai@${openai}`,
  'ai-5@npm:ai@5',
  'ai-sdk-openai-2@npm:@ai-sdk/openai@2',
  '@genkit-ai/compat-oai@1.42',
  '@smithy/node-http-handler',
  'zod@4',
]

test('each recipe has a program', () => {
  const program = readFileSync(join(import.meta.dirname, 'programs/recipes.mjs'), 'utf8')
  const keys = [...program.matchAll(/^ {2}'?([\w@/.-]+)'?: \{$/gm)].map(([, name]) => name)
  expect(recipes.map(({ name }) => name).sort()).toEqual(keys.sort())
})

describe.runIf(process.env.LLMITER_RECIPES)('by its recipe', () => {
  let folder: string
  const run = (timeout: number, command: string, ...args: string[]) =>
    execFileSync(command, args, { cwd: folder, encoding: 'utf8', timeout, stdio: ['ignore', 'pipe', 'pipe'] })

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmiter-recipes-'))
    const packages = [
      inject('tarball'),
      ...recipes.map(({ name, version }) => `${name}@${version}`),
      ...BESIDE,
    ]
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    run(
      550_000,
      'npm',
      'install',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      '--loglevel=error',
      ...packages,
    )
    cpSync(join(import.meta.dirname, 'programs/recipes.mjs'), join(folder, 'recipes.mjs'))
  }, 600_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test.each(recipes)('$name $version', ({ name }) => {
    const lines = run(60_000, process.execPath, 'recipes.mjs', name).trim().split('\n')
    expect(JSON.parse(lines.at(-1)!)).toEqual({
      answered: true,
      failure: 'an error',
      requests: { whenRefused: 2, whenFailed: 1 },
      limiter: { refused: 1, issued: 3 },
    })
  })
})
