// How far a call travels through the house is bounded: a newcomer has to follow it.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

test('a call that goes at once enters no more files than its bound', () => {
  const { stdout } = spawnSync(process.execPath, ['bench/hops.ts'], { cwd: ROOT, encoding: 'utf8' })
  expect(stdout).toMatch(/^ok +a call that goes at once: \d+ files/m)
})
