import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { transformSync } from 'esbuild'
import type { Options } from 'tsup'
import { buildPage } from './src/cli/page/build.ts'
import { bundlePage } from './src/pages/bundle.ts'

// Builds what package.json names. A new entry needs one more key in its `exports`, and a
// line in `paths` of tsconfig.json. A new command needs one more key in its `bin`.
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

/** A Redis script is a separate file. Its text is bundled, without the lines that are comments. */
const scripts: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'redis-scripts',
  setup(build) {
    build.onLoad({ filter: /\.lua$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(/^ *--.*\n/gm, ''),
      loader: 'text',
    }))
  },
}

/** The pages of `llmiter graph` and of the gateway as bundled texts, so that the commands need no further files. */
const pages: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'pages',
  setup(build) {
    for (const [folder, make] of [
      ['cli', buildPage],
      ['gateway', () => bundlePage(new URL('src/gateway/page/', import.meta.url))],
    ] as const)
      build.onLoad({ filter: new RegExp(`${folder}[\\\\/]page[\\\\/]assets\\.ts$`) }, () => ({
        contents: `export const { script, style } = ${JSON.stringify(make())}`,
      }))
  },
}

/**
 * Each finished module again, for `require`. esbuild shares code between entries in ESM only; made this way, both
 * kinds share it. Source maps come with the ESM files alone: with both, they would be half of the package.
 */
const writeCommonJs = async (): Promise<void> => {
  const shared = readdirSync(DIST).filter((name) => /^chunk-.*\.js$/.test(name))
  for (const file of [...entries.map(({ name }) => `${name}.js`), ...shared]) {
    const text = readFileSync(new URL(file, DIST), 'utf8').replace(/\n\/\/# sourceMappingURL=.*/, '')
    const { code } = transformSync(text, { format: 'cjs', target: TARGET, platform: 'neutral' })
    const cjs = code.replace(/require\("(\.[^"]*)\.js"\)/g, 'require("$1.cjs")')
    // Where a class is the default export, `require` gives the class itself, which has itself as `default`.
    const whole = /\bas default\b/.test(text) ? 'module.exports = module.exports.default;\n' : ''
    writeFileSync(new URL(file.replace(/\.js$/, '.cjs'), DIST), cjs + whole)
  }
}

const DIST = new URL('dist/', import.meta.url)
const TARGET = 'es2022'

const common: Options = {
  target: TARGET,
  esbuildPlugins: [scripts],
  // tsup's default makes `http` of `node:http`, which browser bundlers replace with a shim of that name.
  removeNodeProtocol: false,
  // The entries that build on the public surface import it by its name, so that a program holds it once.
  // Clients of Redis are the operator's choice.
  external: [/^node:/, /^llmiter(\/|$)/, /^(ioredis|redis)$/],
}
const library: Options = {
  ...common,
  entry: sourcesOf(entries.map(({ name }) => name)),
  platform: 'neutral',
}

export default [
  { ...library, format: 'esm', sourcemap: true, splitting: true, onSuccess: writeCommonJs },
  {
    ...library,
    format: ['esm', 'cjs'],
    // `Symbol.dispose` stands in the types. Neither TypeScript before 5.2 nor every lib knows it; where it is known,
    // this says the same.
    dts: {
      only: true,
      banner:
        'declare global { interface SymbolConstructor { readonly dispose: unique symbol } ' +
        'interface Disposable { [Symbol.dispose](): void } }',
      compilerOptions: { stripInternal: true },
    },
  },
  ...Object.values(bin).map((built): Options => ({
    ...common,
    entry: sourcesOf([nameOf(built)]),
    format: 'esm',
    platform: 'node',
    // A command loads only its own code.
    splitting: true,
    esbuildOptions(options) {
      options.chunkNames = `${nameOf(built).replace(/[^/]+$/, '')}[name]-[hash]`
    },
    esbuildPlugins: [scripts, pages],
  })),
] satisfies Options[]
