// The arrows between the folders of `src/`. They hold the one idea of the house: the core is pure, and whatever
// needs more than the core stands on the public surface alone.

import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { entries } from '../tsup.config.ts'
import {
  cycles,
  type Import,
  type Imports,
  importsOf,
  parse,
  reach,
  readImports,
  sourceFiles,
  SRC,
} from './support/imports.ts'

/**
 * What a folder may import besides its own files: files and folders of `src/`. `.` stands for the files at the
 * top.
 */
const ALLOWED: Record<string, readonly string[]> = {
  lib: [],
  core: ['lib/'],
  responses: ['lib/'],
  scheduler: ['core/', 'lib/'],
  call: ['scheduler/', 'core/', 'responses/', 'lib/'],
  limiter: ['call/', 'scheduler/', 'core/', 'responses/', 'lib/'],
  '.': ['limiter/', 'call/', 'scheduler/', 'core/', 'responses/', 'lib/'],
  clients: ['index.ts', 'lib/'],
  distributed: ['index.ts', 'lib/'],
  telemetry: ['index.ts', 'lib/'],
  // Its calls stand in the same kind of queue as those of a limiter.
  pool: ['index.ts', 'lib/', 'core/queue/'],
  // Its datastores are stores.
  bottleneck: ['index.ts', 'lib/', 'distributed/redis/index.ts'],
  batch: ['index.ts', 'lib/'],
  inbound: ['index.ts', 'lib/'],
  testing: ['index.ts', 'lib/', 'scheduler/clock.ts', 'distributed/'],
  // What the pages of the gateway and of a graph are made with.
  pages: [],
  // It runs on Node alone.
  gateway: ['index.ts', 'lib/', 'pages/', 'pool/', 'distributed/redis/index.ts'],
  cli: ['index.ts', 'lib/', 'pages/', 'telemetry/', 'testing/', 'batch/', 'pool/', 'gateway/'],
}

/** Folders that must run everywhere: no package and no built-in module, not even for a type. */
const BARE = ['lib', 'core', 'responses', 'scheduler', 'call', 'limiter', '.']

/** What knows of time, chance, promises or the machine. */
const IMPURE = new Set(
  (
    'Date performance setTimeout setInterval setImmediate clearTimeout clearInterval queueMicrotask Promise process ' +
    'globalThis console fetch crypto navigator Buffer AbortSignal AbortController FinalizationRegistry WeakRef'
  ).split(' '),
)

const folderOf = (file: string) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '.')
const isSource = (to: string) => to.endsWith('.ts')

function wrongArrows(imports: Imports): string[] {
  const wrong: string[] = []
  for (const [file, found] of imports) {
    const folder = folderOf(file)
    const allowed = ALLOWED[folder]
    if (!allowed) wrong.push(`${file}: test/architecture.test.ts has no rule for the folder ${folder}/`)
    for (const { to } of found) {
      if (isSource(to)) {
        const fine =
          folderOf(to) === folder ||
          allowed?.some((target) => to === target || (target.endsWith('/') && to.startsWith(target)))
        if (!fine)
          wrong.push(
            `${file} imports ${to}: ${folder} may import itself and ${allowed?.join(', ') || 'nothing else'}`,
          )
      } else if (BARE.includes(folder))
        wrong.push(`${file} imports ${to}: ${folder} must run without any package or built-in module`)
    }
  }
  return wrong
}

/** Built-in modules that are loaded as soon as the entry is. */
const builtins = (imports: Imports, entry: string) =>
  [...reach(eager(imports), entry)].filter((to) => to.startsWith('node:'))

const eager = (imports: Imports): Imports =>
  new Map(
    [...imports].map(([file, found]) => [file, found.filter(({ lazy, typeOnly }) => !lazy && !typeOnly)]),
  )

function impurities(source: ts.SourceFile): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const { parent } = node
    const line = () => `${source.fileName}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}`
    if (ts.isIdentifier(node) && IMPURE.has(node.text)) {
      const isMember =
        (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent)) && parent.name === node
      if (!isMember) found.push(`${line()} names ${node.text}`)
    }
    if (node.kind === ts.SyntaxKind.AsyncKeyword || node.kind === ts.SyntaxKind.AwaitExpression)
      found.push(`${line()} is async`)
    if (ts.isPropertyAccessExpression(node) && node.getText() === 'Math.random')
      found.push(`${line()} names Math.random`)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Names that a file exports as a type, an interface or a class. */
function typesOf(source: ts.SourceFile): string[] {
  return source.statements.flatMap((node) => {
    const named =
      ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isClassDeclaration(node)
    const exported = named && node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
    return exported && node.name ? [node.name.text] : []
  })
}

/** Type names that more than one file exports. */
function sharedNames(sources: readonly ts.SourceFile[]): string[] {
  const names = sources.flatMap(typesOf).sort()
  return [...new Set(names.filter((name, i) => name === names[i - 1]))]
}

const runs = ({ typeOnly, lazy }: Import) => !typeOnly && !lazy
const arrow = (to: string, kind: Partial<Import> = {}): Import => ({
  to,
  typeOnly: false,
  lazy: false,
  ...kind,
})
const written = (way: readonly string[]) => way.join(' → ')

const imports = readImports()

describe('src/', () => {
  test('imports only what the rules allow', () => {
    expect(wrongArrows(imports)).toEqual([])
  })

  test('imports only files that exist', () => {
    const missing = [...imports].flatMap(([file, found]) =>
      found.filter(({ to }) => isSource(to) && !imports.has(to)).map(({ to }) => `${file} imports ${to}`),
    )
    expect(missing).toEqual([])
  })

  test('has no circle of imports, of types either', () => {
    expect(cycles(imports, () => true).map(written)).toEqual([])
  })

  test('has no file that no entry reaches', () => {
    // The pages of a graph and of the gateway are programs of their own.
    const commands = ['cli/llmiter.ts', 'cli/page/client.ts', 'gateway/page/client.ts']
    const roots = [...entries.map(({ name }) => `${name}.ts`), ...commands, 'responses/index.ts']
    const reached = new Set(roots.flatMap((root) => [...reach(imports, root)]))
    expect([...imports.keys()].filter((file) => !reached.has(file))).toEqual([])
  })

  test('has one type for each name', () => {
    // Both are public: what the limiter makes of an answer, and what a guard makes of a request.
    expect(sharedNames(sourceFiles().map((file) => parse(file)))).toEqual(['Verdict'])
  })

  test('has a core without clocks, random numbers and promises', () => {
    const core = sourceFiles().filter((file) => folderOf(file) === 'core')
    expect(core.length).toBeGreaterThan(0)
    expect(core.flatMap((file) => impurities(parse(file)))).toEqual([])
  })
})

describe('the entries', () => {
  test('of package.json are those of tsconfig.json', () => {
    const { paths } = ts.readConfigFile(join(SRC, '../tsconfig.json'), ts.sys.readFile).config.compilerOptions
    const expected = Object.fromEntries(
      entries.map(({ specifier, name }) => [specifier, [`./src/${name}.ts`]]),
    )
    expect(paths).toEqual(expected)
  })

  test("'llmiter' is the limiter, its calls, the scheduler, the core and the responses, and nothing else", () => {
    const folders = new Set([...reach(imports, 'index.ts')].map((to) => (isSource(to) ? folderOf(to) : to)))
    expect([...folders].sort()).toEqual(['.', 'call', 'core', 'lib', 'limiter', 'responses', 'scheduler'])
  })

  test('of clients load only their own code, not the SDKs', () => {
    const clients = entries.filter(({ name }) => name.startsWith('clients/'))
    expect(clients.length).toBeGreaterThan(0)
    for (const { name } of clients) {
      const loaded = [...reach(eager(imports), `${name}.ts`)].filter(
        (to) => folderOf(to) === 'clients' || !isSource(to),
      )
      const foreign = loaded.filter((to) => !to.startsWith('clients/shared/') && to !== `${name}.ts`)
      expect(foreign, name).toEqual([])
    }
  })

  test("'llmiter/testing' loads no built-in module before it is asked to", () => {
    expect(builtins(imports, 'testing/index.ts')).toEqual([])
  })
})

// A test that cannot fail holds nothing: each rule finds what is planted for it.
describe('the rules', () => {
  const plant = (from: string, ...to: Import[]): Imports => new Map([[from, to]])

  test.each([
    ['core/queue/fair-queue.ts', 'scheduler/clock.ts'],
    ['core/queue/fair-queue.ts', 'responses/usage.ts'],
    ['responses/usage.ts', 'core/limit/gcra.ts'],
    ['lib/heap.ts', 'core/call.ts'],
    ['limiter/runtime.ts', 'testing/clock.ts'],
    ['limiter/runtime.ts', 'clients/openai.ts'],
    ['limiter/runtime.ts', 'node:timers'],
    ['core/queue/fair-queue.ts', 'p-queue'],
    ['clients/openai.ts', 'limiter/runtime.ts'],
    ['clients/openai.ts', 'distributed/redis/index.ts'],
    ['telemetry/log.ts', 'core/limit/gcra.ts'],
    ['testing/http.ts', 'core/limit/parse-limits.ts'],
    ['elsewhere/new.ts', 'index.ts'],
  ])('reject %s → %s', (from, to) => {
    expect(wrongArrows(plant(from, arrow(to)))).not.toEqual([])
    expect(wrongArrows(plant(from, arrow(to, { typeOnly: true })))).not.toEqual([])
  })

  test.each([
    ['core/queue/fair-queue.ts', 'lib/heap.ts'],
    ['limiter/runtime.ts', 'core/limit/parse-limits.ts'],
    ['clients/openai.ts', 'index.ts'],
    ['clients/openai.ts', 'openai'],
    ['cli/index.ts', 'testing/index.ts'],
    ['inbound/guard.ts', 'lib/validate.ts'],
  ])('allow %s → %s', (from, to) => {
    expect(wrongArrows(plant(from, arrow(to)))).toEqual([])
  })

  test('find circles, and see the difference between types and values', () => {
    const circle = new Map([
      ['a.ts', [arrow('b.ts')]],
      ['b.ts', [arrow('c.ts')]],
      ['c.ts', [arrow('a.ts')]],
    ])
    expect(cycles(circle, runs)).toEqual([['a.ts', 'b.ts', 'c.ts', 'a.ts']])
    expect(cycles(circle.set('c.ts', [arrow('a.ts', { typeOnly: true })]), runs)).toEqual([])
  })

  test('read imports as the compiler does', () => {
    const text = `
      import type { A } from './a.ts'
      import { type B } from './b.ts'
      export * from '../c.ts'
      export type { D } from './d.ts'
      const e: import('./e.ts').E = await import('node:http')
      import 'llmiter'`
    expect(importsOf(parse('core/x.ts', text))).toEqual([
      arrow('core/a.ts', { typeOnly: true }),
      arrow('core/b.ts'),
      arrow('c.ts'),
      arrow('core/d.ts', { typeOnly: true }),
      arrow('core/e.ts', { typeOnly: true }),
      arrow('node:http', { lazy: true }),
      arrow('index.ts'),
    ])
  })

  test.each([
    'Date.now()',
    'new Promise(() => {})',
    'const f = async () => 1',
    'Math.random()',
    'let x: Promise<void>',
    'setTimeout(f, 1)',
  ])('find %s in the core', (text) => expect(impurities(parse('core/x.ts', text))).not.toEqual([]))

  test.each(['limit.Date', '({ performance: 1 })', '// at the Date', "'Promise'"])(
    'allow %s in the core',
    (text) => {
      expect(impurities(parse('core/x.ts', text))).toEqual([])
    },
  )

  test('find two types of one name', () => {
    const sources = ['export interface A {}', 'export class A {}', 'type A = 1', 'export type B = A']
    expect(sharedNames(sources.map((text, i) => parse(`lib/${i}.ts`, text)))).toEqual(['A'])
  })

  test('find a built-in module that loads at once', () => {
    expect(builtins(plant('testing/index.ts', arrow('node:http')), 'testing/index.ts')).toEqual(['node:http'])
    expect(
      builtins(plant('testing/index.ts', arrow('node:http', { lazy: true })), 'testing/index.ts'),
    ).toEqual([])
  })
})
