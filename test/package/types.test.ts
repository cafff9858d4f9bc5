// The types as a user's compiler sees them: nothing skipped, from ESM and CJS, with and without Node's types.

import { createRequire } from 'node:module'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { entries } from '../../tsup.config.ts'

const app = inject('app')
const types = join(import.meta.dirname, '../../node_modules/@types')

const node16 = { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 }
const bundler = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler }
const withNode = { lib: ['lib.es2022.d.ts'], typeRoots: [types], types: ['node'] }
const withDom = { lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'], types: [] }

const compile = (files: readonly string[], options: ts.CompilerOptions) =>
  ts.createProgram(files, {
    target: ts.ScriptTarget.ES2022,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
    ...options,
  })

const complaints = (program: ts.Program) =>
  ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file ? `${file.fileName}:${file.getLineAndCharacterOfPosition(start!).line + 1} ` : ''
    return `${line}${ts.flattenDiagnosticMessageText(messageText, '\n')}`
  })

for (const kind of ['mts', 'cts']) copyFileSync(join(app, 'consumer.ts'), join(app, `consumer.${kind}`))

describe('a program that uses the package compiles', () => {
  test.each([
    ['as ESM on Node', 'consumer.mts', { ...node16, ...withNode }],
    ['as ESM with DOM types only', 'consumer.mts', { ...node16, ...withDom }],
    ['as CJS on Node', 'consumer.cts', { ...node16, ...withNode }],
    ['as CJS with DOM types only', 'consumer.cts', { ...node16, ...withDom }],
    ['by a bundler, for Node', 'consumer.ts', { ...bundler, ...withNode }],
    ['by a bundler, for a browser', 'consumer.ts', { ...bundler, ...withDom }],
  ])('%s', (_, file, options) => {
    expect(complaints(compile([join(app, file)], options))).toEqual([])
  })
})

describe('the types name the values that there are', () => {
  const require = createRequire(join(app, 'main.cjs'))
  const load = {
    mts: (specifier: string) =>
      import(pathToFileURL(require.resolve(specifier).replace(/\.cjs$/, '.js')).href),
    cts: (specifier: string) => require(specifier) as object,
  }

  const fileOf = (specifier: string, kind: string) =>
    join(app, `names-${specifier.replace('/', '-')}.${kind}`)

  /** All entries in one program. */
  let program: ts.Program
  beforeAll(() => {
    const files = entries.flatMap(({ specifier }) =>
      ['mts', 'cts'].map((kind) => {
        const file = fileOf(specifier, kind)
        writeFileSync(file, `import * as all from '${specifier}'\nexport { all }`)
        return file
      }),
    )
    program = compile(files, { ...node16, ...withNode })
  })

  test.each(
    entries.flatMap(({ specifier }) => (['mts', 'cts'] as const).map((kind) => ({ specifier, kind }))),
  )('of $specifier, in .$kind', async ({ specifier, kind }) => {
    const checker = program.getTypeChecker()
    const module = checker.getSymbolAtLocation(program.getSourceFile(fileOf(specifier, kind))!)!
    const [all] = checker.getExportsOfModule(module)
    const typed = checker.getExportsOfModule(checker.getAliasedSymbol(all!)).filter((symbol) => {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
      return target.flags & ts.SymbolFlags.Value
    })
    const loaded = await load[kind](specifier)
    // What `require` gives may be the default export itself, with what belongs to it.
    const whole = 'default' in loaded && loaded.default === loaded
    expect(typed.map(({ name }) => name).sort()).toEqual(whole ? ['default'] : Object.keys(loaded).sort())
  })
})
