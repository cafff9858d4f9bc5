// Reads the imports between files in `src/`. An import counts as type-only if the compiler erases it: `import
// type`, but not `import { type A }`, which remains as an empty import and runs the other file.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import ts from 'typescript'

export interface Import {
  /** A file of `src/` (`core/queue/fair-queue.ts`), or the name of a package (`node:http`). */
  readonly to: string
  readonly typeOnly: boolean
  /** `await import(...)`: it runs when the code is reached, not when the file is loaded. */
  readonly lazy: boolean
}

export type Imports = ReadonlyMap<string, readonly Import[]>

export const SRC = join(import.meta.dirname, '../../src')

export const sourceFiles = (): string[] =>
  readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => file.replaceAll('\\', '/'))
    .sort()

export const parse = (file: string, text = readFileSync(join(SRC, file), 'utf8')): ts.SourceFile =>
  ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)

export const readImports = (): Imports => new Map(sourceFiles().map((file) => [file, importsOf(parse(file))]))

export function importsOf(source: ts.SourceFile): Import[] {
  const imports: Import[] = []
  const add = (specifier: ts.Node | undefined, typeOnly: boolean, lazy = false) => {
    if (specifier && ts.isStringLiteralLike(specifier)) {
      imports.push({ to: resolve(source.fileName, specifier.text), typeOnly, lazy })
    }
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword)
    } else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      add(node.argument.literal, true)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false, true)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return imports
}

function resolve(from: string, specifier: string): string {
  if (specifier === 'llmiter') return 'index.ts'
  return specifier.startsWith('.')
    ? relative('.', join(dirname(from), specifier)).replaceAll('\\', '/')
    : specifier
}

/** Every file that is loaded, or read for its types, with this one. */
export function reach(imports: Imports, from: string): Set<string> {
  const seen = new Set([from])
  for (const file of seen) for (const { to } of imports.get(file) ?? []) seen.add(to)
  return seen
}

/** The circular imports: for each, the shortest path from its first file back to it. */
export function cycles(imports: Imports, counts: (found: Import) => boolean): string[][] {
  const next = (file: string) => (imports.get(file) ?? []).filter(counts).map(({ to }) => to)
  const found = new Map<string, string[]>()
  for (const start of imports.keys()) {
    const ways = new Map<string, string[]>([[start, [start]]])
    for (const [file, way] of ways) {
      for (const to of next(file)) {
        if (to === start) {
          const key = [...way].sort().join()
          if (!found.has(key)) found.set(key, way)
        }
        if (!ways.has(to)) ways.set(to, [...way, to])
      }
    }
  }
  return [...found.values()].map((way) => [...way, way[0]!])
}
