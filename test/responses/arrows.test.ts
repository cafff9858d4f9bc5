import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const folder = new URL('../../src/responses/', import.meta.url)

test.each(readdirSync(folder))('%s imports nothing from outside responses/', (file) => {
  const imports = readFileSync(new URL(file, folder), 'utf8').matchAll(/from '([^']+)'/g)
  for (const [, path] of imports) expect(path).toMatch(/^(\.|\.\.\/lib)\/[\w-]+\.ts$/)
})
