/**
 * What a page or a worker downloads: everything the main entry exports, bundled and minified by esbuild, then
 * gzip -9, with the peers made the same way. kB are 1,000 bytes.
 */
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import type { Section } from '../table.ts'

const entries = {
  llmiter: `export * from './src/index.ts'`,
  'p-limit': `export * from 'p-limit'; export { default } from 'p-limit'`,
  'p-throttle': `export { default } from 'p-throttle'`,
  'p-queue': `export * from 'p-queue'; export { default } from 'p-queue'`,
  'async-sema': `export * from 'async-sema'`,
  'Bottleneck, light': `export { default } from 'bottleneck/light.js'`,
  Bottleneck: `export { default } from 'bottleneck'`,
}

export async function bundleSection(): Promise<Section> {
  const sizes = await Promise.all(
    Object.entries(entries).map(async ([name, contents]) => ({ name, ...(await sizesOf(contents)) })),
  )
  return {
    title: 'f. Bundle of the main entry',
    columns: ['kB min', 'kB min+gzip'],
    rows: sizes.map(({ name, minified, zipped }) => ({ name, cells: [minified / 1000, zipped / 1000] })),
    goals: [{ what: 'llmiter alone', measured: sizes[0]!.zipped / 1000, atMost: 10, unit: 'kB min+gzip' }],
  }
}

async function sizesOf(contents: string): Promise<{ minified: number; zipped: number }> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: fileURLToPath(new URL('../..', import.meta.url)) },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // async-sema asks for Node's `events`, which a page would have to add to these bytes.
    external: ['events'],
  })
  const { contents: code } = outputFiles[0]!
  return { minified: code.length, zipped: gzipSync(code, { level: 9 }).length }
}
