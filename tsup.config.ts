import { readFileSync } from 'node:fs'
import type { Options } from 'tsup'
import { buildPage } from './src/cli/page/build.ts'

// What is built is what package.json names. A new entry is one more key of its `exports`, and its
// line in `paths` of tsconfig.json; a command is one more key of its `bin`.
type Conditions = { import: { default: string } }
const { exports, bin = {} } = JSON.parse(
  readFileSync(new URL('./package.json', import.meta.url), 'utf8'),
) as {
  exports: Record<string, Conditions | string>
  bin?: Record<string, string>
}

/** `./dist/clients/openai.js` is `clients/openai`, built from `src/clients/openai.ts`. */
const nameOf = (built: string) => built.replace(/^\.\/dist\/|\.js$/g, '')
const sourcesOf = (names: string[]) => Object.fromEntries(names.map((name) => [name, `src/${name}.ts`]))

/** The name people import, with the file of `src/` behind it: `llmiter/testing`, `testing/index`. */
export const entries = Object.entries(exports).flatMap(([key, to]) =>
  typeof to === 'string' ? [] : [{ specifier: key.replace('.', 'llmiter'), name: nameOf(to.import.default) }],
)

/** The page of `llmiter graph` as finished texts, so that the command needs nothing beside it. */
const page: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'page',
  setup(build) {
    build.onLoad({ filter: /cli[\\/]page[\\/]assets\.ts$/ }, () => ({
      contents: `export const { script, style } = ${JSON.stringify(buildPage())}`,
    }))
  },
}

const common: Options = {
  target: 'es2022',
  // A script for Redis is a file of its own, and its text is bundled.
  loader: { '.lua': 'text' },
  sourcemap: true,
  // tsup's default makes `http` of `node:http`, which bundlers for browsers replace by a shim of that name.
  removeNodeProtocol: false,
  // The entries that build on the public surface import it by its name, so that a program holds it once.
  external: [/^node:/, /^llmiter(\/|$)/],
  splitting: false,
}

export default [
  {
    ...common,
    entry: sourcesOf(entries.map(({ name }) => name)),
    format: ['esm', 'cjs'],
    platform: 'neutral',
    // `Symbol.dispose` stands in the types, and programs without @types/node may not have that lib.
    dts: { banner: '/// <reference lib="esnext.disposable" />', compilerOptions: { stripInternal: true } },
  },
  ...Object.values(bin).map((built): Options => ({
    ...common,
    entry: sourcesOf([nameOf(built)]),
    format: 'esm',
    platform: 'node',
    esbuildPlugins: [page],
  })),
] satisfies Options[]
