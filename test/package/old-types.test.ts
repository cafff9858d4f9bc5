// The types for compilers of old: TypeScript 5.0, which knows no `Symbol.dispose`, and resolution by folders
// (`node10`), which reads no `exports`. Nothing is skipped.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, expect, inject, test } from 'vitest'
import { entries } from '../../tsup.config.ts'

const app = inject('app')
const read = createRequire(import.meta.url)
const { peerDependencies } = read('../../package.json') as { peerDependencies: Record<string, string> }

/** Entries whose types stand on nothing but ours: an SDK's own may need a newer compiler. */
const own = entries
  .map(({ specifier }) => specifier)
  .filter(
    (specifier) => !/\/(openai|anthropic|groq|google|google-generative-ai|mistral|otel)$/.test(specifier),
  )

const PROGRAM = `
import { BucketRateLimiter, type Ticket, withLimiter } from 'llmiter'
import { VirtualClock } from 'llmiter/testing'
${own.map((specifier, i) => `export * as entry${i} from '${specifier}'`).join('\n')}
const limiter = new BucketRateLimiter({ requestsPerMinute: 5, clock: new VirtualClock() })
export const ask: (prompt: string) => Promise<number> = withLimiter((prompt: string) => prompt.length, limiter)
export const finish = (ticket: Ticket): void => ticket[Symbol.dispose]()
// @ts-expect-error limits have names
export const wrong = new BucketRateLimiter({ requestPerMinute: 5 })
`

/** What the compiler has to say. */
function compile(tsc: string[], name: string, file: string, options: object): string {
  const folder = join(app, `types-${name}`)
  mkdirSync(folder)
  writeFileSync(join(folder, file), PROGRAM)
  const compilerOptions = {
    ...{ noEmit: true, strict: true, skipLibCheck: false, target: 'es2022', types: [] },
    ...{ lib: ['es2022', 'dom'], ...options },
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }))
  try {
    const [command, ...args] = [...tsc, '-p', folder]
    return execFileSync(command!, args, { cwd: app, encoding: 'utf8', timeout: 280_000 })
  } catch (error) {
    return String((error as { stdout?: string }).stdout || error)
  }
}

const newest = [process.execPath, read.resolve('typescript/bin/tsc')]
const oldest = ['npx', '--yes', '--package', 'typescript@5.0.4', 'tsc']
const node16 = { module: 'node16', moduleResolution: 'node16' }
const node10 = { module: 'commonjs', moduleResolution: 'node' }

test('the entries that are compiled are most there are, and each peer has one that is not', () => {
  expect(own.length).toBeGreaterThan(entries.length - Object.keys(peerDependencies).length)
})

test('the newest compiler, resolution by folders', () => {
  expect(compile(newest, 'new10', 'main.ts', { ...node10, ignoreDeprecations: '6.0' })).toBe('')
})

// It is downloaded.
describe.runIf(process.env.CI)('TypeScript 5.0', () => {
  test.each([
    ['as ESM', 'main.mts', node16],
    ['as CJS', 'main.cts', node16],
    ['by folders', 'main.ts', node10],
    ['by a bundler', 'main.ts', { module: 'esnext', moduleResolution: 'bundler' }],
  ])(
    '%s',
    (name, file, options) => {
      expect(compile(oldest, name.replace(/\W/g, '-'), file, options)).toBe('')
    },
    300_000,
  )
})
