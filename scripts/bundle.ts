/** The size of code after bundling into one file: minified by esbuild, then gzip -9. A kB is 1,000 bytes. */
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

export interface Weight {
  minifiedKB: number
  zippedKB: number
}

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** The size of a module with this text, which may import by package name, or by a path from the repository root. */
export async function weigh(contents: string, external: readonly string[] = []): Promise<Weight> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: ROOT },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: [...external],
    logLevel: 'error',
  })
  const { contents: code } = outputFiles[0]!
  return { minifiedKB: code.length / 1000, zippedKB: gzipSync(code, { level: 9 }).length / 1000 }
}
