/**
 * Writes the exports of each package entry to api/, so that a change of the public surface shows as a change of a
 * file: `npm run api`. With `--check` it writes nothing and fails if those files are out of date.
 *
 * A report lists the exported declarations by name, without comments, followed by the declarations they refer to.
 * The exports of `llmiter` are listed only in its own report.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { format } from 'prettier'
import ts from 'typescript'
import { entries } from '../tsup.config.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDER = new URL('../api/', import.meta.url)
const HEAD = '<!-- Written by `npm run api`: see CONTRIBUTING.md. -->'

const declarations = emit()
const program = ts.createProgram(
  entries.map(({ name }) => `${ROOT}src/${name}.d.ts`),
  { ...options(), noEmit: true },
  hostOf(declarations),
)
const checker = program.getTypeChecker()
const main = new Set(exportsOf('index'))
const stale: string[] = []

if (process.argv.includes('--check')) await check()
else await write()

async function write(): Promise<void> {
  mkdirSync(FOLDER, { recursive: true })
  for (const { file, text } of await reports()) writeFileSync(new URL(file, FOLDER), text)
}

async function check(): Promise<void> {
  const made = await reports()
  for (const { file, text } of made) if (read(file) !== text) stale.push(file)
  for (const file of readdirSync(FOLDER)) if (!made.some((one) => one.file === file)) stale.push(file)
  if (stale.length === 0) return console.log(`${made.length} entries match api/`)
  console.error(
    `The public surface differs from these files: ${stale.map((file) => `api/${file}`).join(', ')}\n` +
      'If the change is intended, run `npm run api`, check the difference, and commit it with the change.',
  )
  process.exitCode = 1
}

function read(file: string): string | undefined {
  try {
    return readFileSync(new URL(file, FOLDER), 'utf8')
  } catch {
    return undefined
  }
}

function reports(): Promise<{ file: string; text: string }[]> {
  return Promise.all(
    entries.map(async ({ specifier, name }) => ({
      file: `${specifier.replaceAll('/', '-')}.md`,
      text: await report(specifier, name),
    })),
  )
}

async function report(specifier: string, name: string): Promise<string> {
  const exported = exportsOf(name).filter((symbol) => name === 'index' || !main.has(symbol))
  const referred = referredTo(exported)
  const parts = [HEAD, `# ${specifier}`, await block(exported)]
  if (referred.length > 0) parts.push('## Not exported, and part of what is', await block(referred))
  return `${parts.join('\n\n')}\n`
}

async function block(symbols: readonly ts.Symbol[]): Promise<string> {
  const texts = symbols
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((symbol) => declarationsOf(symbol).map((node) => node.getText()))
  const code = await format(texts.join('\n\n'), {
    parser: 'typescript',
    printWidth: 100,
    semi: false,
    singleQuote: true,
  })
  return `\`\`\`ts\n${code.trimEnd()}\n\`\`\``
}

/** Resolves an alias to the symbol it names. */
function exportsOf(name: string): ts.Symbol[] {
  const source = program.getSourceFile(`${ROOT}src/${name}.d.ts`)!
  return checker.getExportsOfModule(checker.getSymbolAtLocation(source)!).map(original)
}

function original(symbol: ts.Symbol): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
}

/** Whole statements of our own files: no members, no parameters, and nothing from TypeScript's library. */
function declarationsOf(symbol: ts.Symbol): ts.Node[] {
  return (symbol.declarations ?? [])
    .map((node) => (ts.isVariableDeclaration(node) ? node.parent.parent : node))
    .filter(
      (node) =>
        node.parent && ts.isSourceFile(node.parent) && declarations.has(node.getSourceFile().fileName),
    )
}

function referredTo(exported: readonly ts.Symbol[]): ts.Symbol[] {
  const known = new Set(exported)
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) {
      const found = checker.getSymbolAtLocation(node)
      const symbol = found && original(found)
      if (symbol && !main.has(symbol) && declarationsOf(symbol).length > 0) known.add(symbol)
    }
    ts.forEachChild(node, visit)
  }
  // The set grows during the loop, until nothing new is found.
  for (const symbol of known) declarationsOf(symbol).forEach(visit)
  return [...known].slice(exported.length)
}

/** The declaration files of src/, by the paths they would have. */
function emit(): Map<string, string> {
  const files = new Map<string, string>()
  const sources = entries.map(({ name }) => `${ROOT}src/${name}.ts`)
  const made = ts.createProgram(sources, {
    ...options(),
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    removeComments: true,
    stripInternal: true,
  })
  made.emit(undefined, (file, text) => files.set(file, text))
  return files
}

function options(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(`${ROOT}tsconfig.json`, ts.sys.readFile)
  return ts.parseJsonConfigFileContent(config, ts.sys, ROOT).options
}

/** A compiler host with those files. */
function hostOf(files: ReadonlyMap<string, string>): ts.CompilerHost {
  const host = ts.createCompilerHost({})
  const { fileExists, readFile, getSourceFile } = host
  const there = (file: string) => files.get(file)
  host.fileExists = (file) => !isSource(file) && (files.has(file) || fileExists(file))
  host.readFile = (file) => there(file) ?? readFile(file)
  host.getSourceFile = (file, version, ...rest) => {
    const text = there(file)
    return text === undefined
      ? getSourceFile(file, version, ...rest)
      : ts.createSourceFile(file, text, version, true)
  }
  return host
}

/** Sources are next to their declarations, and would be found first. */
function isSource(file: string): boolean {
  return file.startsWith(`${ROOT}src/`) && file.endsWith('.ts') && !file.endsWith('.d.ts')
}
