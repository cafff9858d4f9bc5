/**
 * Fails if an entry of the package exceeds its budget in sizes.json: `npm run build && npm run check:sizes`.
 *
 * For `llmiter`, the whole entry is measured, and `BucketRateLimiter` by itself. For other entries, only what they
 * add to `llmiter` is measured, without the SDKs. `package` is the unpacked size of the npm package.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { entries } from '../tsup.config.ts'
import { weigh } from './bundle.ts'

const FILE = new URL('sizes.json', import.meta.url)

interface Budgets {
  /** kB, minified and zipped. */
  entries: Record<string, number>
  /** kB on disk. */
  package: number
}

const budgets = JSON.parse(readFileSync(FILE, 'utf8')) as Budgets
const { peerDependencies } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { peerDependencies: Record<string, string> }
const outside = ['node:*', ...Object.keys(peerDependencies).flatMap((name) => [name, `${name}/*`])]

const sizes = new Map<string, number>()
for (const { specifier, name } of entries) {
  const external = specifier === 'llmiter' ? [] : [...outside, 'llmiter']
  const { zippedKB } = await weigh(`export * as entry from './dist/${name}.js'`, external)
  sizes.set(specifier, zippedKB)
}
const { zippedKB } = await weigh(`export { BucketRateLimiter } from './dist/index.js'`)
sizes.set('BucketRateLimiter', zippedKB)

const wrong: string[] = []
function judge(what: string, size: number, budget: number | undefined): void {
  const verdict =
    budget === undefined ? 'has no budget' : size > budget ? `is above its budget of ${budget} kB` : 'ok'
  if (verdict !== 'ok') wrong.push(`${what} ${verdict}`)
  console.log(`${what.padEnd(30)} ${size.toFixed(1).padStart(8)} kB  of ${budget ?? '–'}`)
}

for (const [name, size] of sizes) judge(name, size, budgets.entries[name])
for (const name of Object.keys(budgets.entries))
  if (!sizes.has(name)) wrong.push(`${name} has a budget but is not an entry of the package`)
judge('package, unpacked', unpackedKB(), budgets.package)

if (wrong.length > 0) {
  console.error(`\n${wrong.join('\n')}\nThe budgets are in scripts/sizes.json.`)
  process.exitCode = 1
}

function unpackedKB(): number {
  const report = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    encoding: 'utf8',
  })
  const [packed] = JSON.parse(report) as [{ unpackedSize: number }]
  return packed.unpackedSize / 1000
}
