/**
 * The download size for a page or a worker: everything the main entry exports, and `BucketRateLimiter` alone,
 * compared with alternatives bundled in the same way (see scripts/bundle.ts).
 */
import { weigh } from '../../scripts/bundle.ts'
import type { Section } from '../table.ts'

const contestants = {
  llmiter: `export * from './src/index.ts'`,
  'BucketRateLimiter alone': `export { BucketRateLimiter } from './src/index.ts'`,
  'p-limit': `export * from 'p-limit'; export { default } from 'p-limit'`,
  'p-throttle': `export { default } from 'p-throttle'`,
  'p-queue': `export * from 'p-queue'; export { default } from 'p-queue'`,
  'async-sema': `export * from 'async-sema'`,
  'Bottleneck, light': `export { default } from 'bottleneck/light.js'`,
  Bottleneck: `export { default } from 'bottleneck'`,
}

export async function bundleSection(): Promise<Section> {
  const sizes = await Promise.all(
    Object.entries(contestants).map(async ([name, contents]) => ({
      name,
      // async-sema needs Node's `events`, which a page would have to add to this size.
      ...(await weigh(contents, ['events'])),
    })),
  )
  return {
    title: 'f. Bundle of the main entry',
    columns: ['kB min', 'kB min+gzip'],
    rows: sizes.map(({ name, minifiedKB, zippedKB }) => ({ name, cells: [minifiedKB, zippedKB] })),
    goals: sizes
      .slice(0, 2)
      .map(({ name, zippedKB }) => ({ what: name, measured: zippedKB, atMost: 25, unit: 'kB min+gzip' })),
  }
}
