// What the documentation shows compiles, and what it says it runs does.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { KEYS as BATCH_KEYS } from '../src/batch/options.ts'
import { EVENTS } from '../src/limiter/events.ts'
import { CALL_KEYS } from '../src/call/call-options.ts'
import { LIMITER_KEYS } from '../src/limiter/options.ts'
import { entries } from '../tsup.config.ts'
import { complaints, mishaps } from './support/blocks.ts'
import { type Block, blocksOf, printed } from './support/markdown.ts'

/** The SDKs of the clients' tests, each in all of its versions. */
const SDKS = {
  openai: ['openai-6', 'openai'],
  '@anthropic-ai/sdk': ['@anthropic-ai/sdk'],
  'groq-sdk': ['groq-sdk'],
  '@google/genai': ['genai-2', '@google/genai'],
  '@google/generative-ai': ['@google/generative-ai'],
  '@mistralai/mistralai': ['@mistralai/mistralai'],
  ai: ['ai-5', 'ai-6', 'ai'],
  '@langchain/openai': ['@langchain/openai'],
  'cohere-ai': ['cohere-ai'],
}

const specifierOf = ({ specifier }: { specifier: string }) => specifier

const ROOT = join(import.meta.dirname, '..')

const pages = [
  'README.md',
  ...(existsSync(join(ROOT, 'docs'))
    ? readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    : []
  )
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name.replaceAll('\\', '/')}`),
]

const read = (page: string) => (existsSync(join(ROOT, page)) ? readFileSync(join(ROOT, page), 'utf8') : '')
const all = pages.flatMap((page) => blocksOf(page, read(page)))

describe('the documentation', () => {
  test('has a README with TypeScript in it', () => {
    expect(existsSync(join(ROOT, 'README.md')), 'README.md exists').toBe(true)
    expect(all.filter(({ where }) => where.startsWith('README.md:'))).not.toEqual([])
  })

  test('begins with what a newcomer needs, and is short', () => {
    expect(read('README.md').split('\n').length).toBeLessThan(250)
  })

  // The compiler reads the types of all SDKs: on a busy machine that takes its time.
  test('compiles, block by block', { timeout: 120_000 }, () => {
    expect(complaints(all)).toEqual([])
  })

  test.each<[page: string, what: string, names: readonly string[]]>([
    ['docs/reference.md', 'events', EVENTS],
    ['docs/reference.md', 'options of a limiter', LIMITER_KEYS],
    ['docs/reference.md', 'options of a call', CALL_KEYS],
    ['docs/batch.md', 'options of a job', BATCH_KEYS],
    [
      'docs/clients.md',
      'clients',
      entries.filter(({ name }) => name.startsWith('clients/')).map(specifierOf),
    ],
  ])('has in the tables of %s all %s', (page, _, names) => {
    // The first cell of a row may name several.
    const rows = read(page)
      .split('\n')
      .filter((line) => /^\| /.test(line))
    const named = new Set(rows.flatMap((row) => row.split(' | ')[0]!.match(/`[^`(]+/g) ?? []))
    expect(names.filter((name) => !named.has(`\`${name}`))).toEqual([])
  })

  test('names for each SDK the versions that the tests run against', () => {
    const said = read('docs/clients.md')
      .match(/^\| `llmiter\/.*$/gm)!
      .join('\n')
    const majors = (name: string) =>
      [...said.matchAll(new RegExp(`[( ,]${name} ([\\d., from()]+)`, 'g'))].flatMap(([, list]) =>
        (list!.replace(/\(from [^)]*\)/g, '').match(/\d+(\.\d+)*/g) ?? []).map(
          (version) => version.split('.')[0],
        ),
      )
    for (const [name, folders] of Object.entries(SDKS)) {
      const installed = folders.map((folder) => {
        const file = join(ROOT, 'node_modules', folder, 'package.json')
        return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version.split('.')[0]
      })
      expect([name, majors(name)]).toEqual([name, installed])
    }
  })

  test.each(all.filter(({ run }) => run))('runs the block at $where', async (block) => {
    expect(await mishaps(block)).toEqual([])
  })
})

// A page of its own, to see that the test finds what it is for.
const fence = '```'
const page = (...lines: string[]) => blocksOf('page.md', lines.join('\n').replaceAll('~~~', fence))
const one = (...lines: string[]) => page(...lines)[0] as Block

describe('a page', () => {
  test('gives its blocks, with their lines and what belongs to them', () => {
    const blocks = page(
      '# Title',
      '~~~ts',
      'const a = 1',
      '~~~',
      '~~~sh',
      'npm i',
      '~~~',
      '<!-- continues -->',
      '<!-- given',
      'const b = 2',
      '-->',
      '<!-- run -->',
      '',
      '~~~ts',
      'console.log(a + b) // 3',
      '~~~',
      '- ~~~no block~~~',
      '  ~~~ts',
      '  const c = {',
      '    d: 4 }',
      '  ~~~',
    )
    const plain = { before: 0, run: false }
    expect(blocks).toEqual([
      { where: 'page.md:3', firstLine: 3, code: 'const a = 1', ...plain },
      {
        where: 'page.md:15',
        firstLine: 13,
        code: 'const a = 1\nconst b = 2\nconsole.log(a + b) // 3',
        before: 2,
        run: true,
      },
      { where: 'page.md:19', firstLine: 19, code: 'const c = {\n  d: 4 }', ...plain },
    ])
  })

  test.each([
    [
      ['~~~ts no-check', '~~~'],
      'page.md:1: a TypeScript block is marked `ts` and nothing more, got `ts no-check`',
    ],
    [['~~~typescript', '~~~'], 'got `typescript`'],
    [['~~~ts'], 'never closed'],
    [['<!-- continues -->', '~~~ts', '~~~'], 'no block before'],
    [['<!-- no-check -->', '~~~ts', '~~~'], 'unknown comment'],
    [['<!-- run -->', 'Some words.', '~~~ts', '~~~'], 'does not stand right before'],
  ])('may not be %j', (lines, message) => {
    expect(() => page(...lines)).toThrow(message)
  })

  test('must compile; what does not is named by its line', () => {
    const blocks = page(
      '~~~ts',
      "import OpenAI from 'openai'",
      "import { BucketRateLimiter, withLimiter } from 'llmiter'",
      "import { VirtualClock } from 'llmiter/testing'",
      'const openai = new OpenAI({ maxRetries: 0 })',
      "const gpt = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 500, clock: new VirtualClock() })",
      "const ask = withLimiter((input: string) => openai.responses.create({ model: 'gpt-5', input }), gpt)",
      '~~~',
      '<!-- continues -->',
      '~~~ts',
      "const answer: string = (await ask('What is the capital of France?')).output_text",
      '~~~',
      '<!-- continues -->',
      '~~~ts',
      'await ask(1)',
      '~~~',
      '~~~ts',
      "import { nothing } from 'llmiter'",
      '~~~',
    )
    const found = complaints(blocks)
    expect(found).toEqual([
      expect.stringMatching(
        /^page\.md:15: `await ask\(1\)`: .*'number' is not assignable to parameter of type 'string'/,
      ),
      expect.stringMatching(/^page\.md:18: .*has no exported member 'nothing'/),
    ])
  })

  test('runs where it says so, on the sources', async () => {
    const block = one(
      '<!-- run -->',
      '~~~ts',
      "import { BucketRateLimiter } from 'llmiter'",
      "import { VirtualClock } from 'llmiter/testing'",
      'const clock: VirtualClock = new VirtualClock()',
      "const limiter = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 60, clock })",
      'console.log(await limiter.run(() => 42)) // 42',
      '~~~',
    )
    expect(block.run).toBe(true)
    expect(printed(block)).toEqual(['42'])
    expect(await mishaps(block)).toEqual([])
  })

  test('is told what is wrong with what it runs', async () => {
    expect(await mishaps(one('~~~ts', 'console.log(1 + 1) // 3', '~~~'))).toEqual([
      'page.md:2: it says that it prints `3`, and printed:\n2\n',
    ])
    expect(await mishaps(one('~~~ts', "throw new Error('no')", '~~~'))).toEqual([
      expect.stringMatching(/^page\.md:2: .*Error: no/s),
    ])
  })
})
