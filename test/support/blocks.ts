// Compiles and runs code blocks of the documentation against the sources.

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import ts from 'typescript'
import { entries } from '../../tsup.config.ts'
import { type Block, printed } from './markdown.ts'

const ROOT = join(import.meta.dirname, '../..')
const RUN_MS = 50_000

const sources = Object.fromEntries(
  entries.map(({ specifier, name }) => [specifier, join(ROOT, `src/${name}.ts`)]),
)

/** Parsed files that do not change. The types of all SDKs are most of the compiler's work. */
const parsed = new Map<string, ts.SourceFile | undefined>()

/** The compiler's errors in the blocks, each with its line in the Markdown file. */
export function complaints(blocks: readonly Block[]): string[] {
  // Virtual files next to the package's own, so that `openai` and the like are found.
  const files = new Map(blocks.map((block, i) => [join(ROOT, `block-${i}.mts`), block]))
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts', 'lib.dom.asynciterable.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules/@types')],
    paths: Object.fromEntries(Object.entries(sources).map(([specifier, file]) => [specifier, [file]])),
  }
  const host = ts.createCompilerHost(options)
  const { readFile, fileExists } = host
  host.readFile = (name) => textOf(files.get(name)) ?? readFile(name)
  host.fileExists = (name) => files.has(name) || fileExists(name)
  const { getSourceFile } = host
  host.getSourceFile = (name, version, ...rest) => {
    const text = textOf(files.get(name))
    if (text !== undefined) return ts.createSourceFile(name, text, version)
    if (!parsed.has(name)) parsed.set(name, getSourceFile(name, version, ...rest))
    return parsed.get(name)
  }
  host.getCurrentDirectory = () => ROOT
  const program = ts.createProgram([...files.keys()], options, host)
  return [...files].flatMap(([name, block]) => {
    const file = program.getSourceFile(name)!
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ start, messageText }) => {
        const { line } = file.getLineAndCharacterOfPosition(start!)
        const message = ts.flattenDiagnosticMessageText(messageText, '\n')
        return line < block.before
          ? `${block.where}: in the lines before this block, \`${block.code.split('\n')[line]!.trim()}\`: ${message}`
          : `${fileOf(block)}:${block.firstLine + line}: \`${block.code.split('\n')[line]!.trim()}\`: ${message}`
      },
    )
  })
}

/** A file without imports is a module too: its names are local, and it may use `await`. */
const textOf = (block: Block | undefined) => block && `${block.code}\nexport {}\n`

const fileOf = ({ where }: Block) => where.slice(0, where.lastIndexOf(':'))

/** Runs a block in its own process, in this folder. */
export function execute(block: Block, folder: string, env: Record<string, string> = {}) {
  const main = join(folder, 'block.mts')
  const hooks = join(folder, 'hooks.mjs')
  writeFileSync(main, textOf(block)!)
  writeFileSync(hooks, resolveFromSources)
  return promisify(execFile)(process.execPath, ['--import', pathToFileURL(hooks).href, main], {
    cwd: folder,
    timeout: RUN_MS,
    env: { ...process.env, NODE_NO_WARNINGS: '1', ...env },
  })
}

/** Runs a block. Resolves with the errors, of which there should be none. */
export async function mishaps(block: Block): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'llmiter-block-'))
  try {
    const { stdout } = await execute(block, folder)
    const lines = new Set(stdout.split('\n').map((line) => line.trim()))
    const missing = printed(block).filter((text) => !lines.has(text))
    return missing.map(
      (text) => `${block.where}: it says that it prints \`${text}\`, and printed:\n${stdout}`,
    )
  } catch (error) {
    const { killed, stderr } = error as { killed?: boolean; stderr?: string }
    const why = killed
      ? `it ran for more than ${RUN_MS} ms`
      : stderr?.replaceAll(pathToFileURL(folder).href, '')
    return [`${block.where}: ${why}`]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** `llmiter` resolves to the sources, and other packages to those of this repository. */
const resolveFromSources = `
import { registerHooks } from 'node:module'
const sources = ${JSON.stringify(Object.fromEntries(Object.entries(sources).map(([key, file]) => [key, pathToFileURL(file).href])))}
const parentURL = ${JSON.stringify(pathToFileURL(join(ROOT, 'package.json')).href)}
registerHooks({
  resolve(specifier, context, next) {
    if (sources[specifier]) return { url: sources[specifier], shortCircuit: true }
    return next(specifier, /^[./]|^[a-z]+:/.test(specifier) ? context : { ...context, parentURL })
  },
})
`
