// The package beside each SDK it can limit, the oldest version and the newest: both installed by a plain `npm install`
// into an empty project, then one call that is refused once. In CI only, since it downloads them.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, inject, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
const newest = (name: string) =>
  `${name}@${read(join(root, 'node_modules', name, 'package.json'))['version'] as string}`

const SDKS: [entry: string, name: string, oldest: string, beside?: { oldest: string; newest: string }][] = [
  ['openai', 'openai', '4.0.0'],
  ['anthropic', '@anthropic-ai/sdk', '0.20.0'],
  ['groq', 'groq-sdk', '0.3.0'],
  ['google', '@google/genai', '1.0.0'],
  ['google-generative-ai', '@google/generative-ai', '0.15.0'],
  ['mistral', '@mistralai/mistralai', '1.3.0'],
  ['ai-sdk', 'ai', '4.0.0', { oldest: '@ai-sdk/openai@1.0.0', newest: newest('@ai-sdk/openai') }],
]

test('the oldest version of each is that of the peer range', () => {
  const { peerDependencies } = read(join(root, 'package.json'))
  expect(peerDependencies).toMatchObject(
    Object.fromEntries(SDKS.map(([, name, oldest]) => [name, `>=${oldest}`])),
  )
})

describe.runIf(process.env.CI)('beside', () => {
  test.each(
    SDKS.flatMap(([entry, name, oldest, beside]) => [
      { entry, packages: [`${name}@${oldest}`, ...(beside ? [beside.oldest] : [])] },
      { entry, packages: [newest(name), ...(beside ? [beside.newest] : [])] },
    ]),
  )(
    '$packages: installs, and a refused call gets through',
    ({ entry, packages }) => {
      const folder = mkdtempSync(join(tmpdir(), 'llmiter-peer-'))
      const run = (command: string, ...args: string[]) =>
        execFileSync(command, args, { cwd: folder, encoding: 'utf8', timeout: 250_000 })
      try {
        writeFileSync(join(folder, 'package.json'), '{ "private": true }')
        run('npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', inject('tarball'), ...packages)
        cpSync(join(import.meta.dirname, 'programs/peer.mjs'), join(folder, 'peer.mjs'))
        const said = JSON.parse(run(process.execPath, 'peer.mjs', entry)) as unknown
        expect(said).toEqual({ answer: 'hi', requests: 2 })
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
    280_000,
  )
})
