// For `node --import`: resolves `llmiter` and its entries to the sources, so that test programs need no build. A
// Redis script is imported as its text, as in the built package.

import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { entries } from '../../tsup.config.ts'

const sources = new Map(
  entries.map(({ specifier, name }) => [specifier, new URL(`../../src/${name}.ts`, import.meta.url).href]),
)

registerHooks({
  resolve(specifier, context, next) {
    const url = sources.get(specifier)
    return url === undefined ? next(specifier, context) : { url, shortCircuit: true }
  },
  load(url, context, next) {
    if (!url.endsWith('.lua')) return next(url, context)
    const source = `export default ${JSON.stringify(readFileSync(new URL(url), 'utf8'))}`
    return { format: 'module', source, shortCircuit: true }
  },
})
