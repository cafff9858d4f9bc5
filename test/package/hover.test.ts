// What an editor shows of every public name: at least a sentence.

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { entries } from '../../tsup.config.ts'
import { undocumented } from '../support/undocumented.ts'

const root = join(import.meta.dirname, '../..')

test("each name of 'llmiter' and of its clients, and each member, has a hover text", () => {
  const files = entries
    .filter(({ name }) => name === 'index' || name.startsWith('clients/'))
    .map(({ name }) => join(root, 'src', `${name}.ts`))
  expect(files.length).toBeGreaterThan(7)
  expect(undocumented(root, files)).toEqual([])
})
