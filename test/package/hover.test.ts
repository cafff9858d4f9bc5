// What an editor shows of every public name: at least a sentence.

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { entries } from '../../tsup.config.ts'
import { undocumented } from '../support/undocumented.ts'

const root = join(import.meta.dirname, '../..')

/** What we need of the objects of others: their own documentation says what it is. */
const OTHERS = /^(IoRedisLike|NodeRedisLike|UpstashLike|NodeRequest|NodeResponse|HonoContext)\./

test('each public name, and each member, has a hover text', () => {
  const files = entries.map(({ name }) => join(root, 'src', `${name}.ts`))
  expect(undocumented(root, files).filter((name) => !OTHERS.test(name))).toEqual([])
})
