// Builds the page of `llmiter graph` as texts, with the licence of the code it contains.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type BundledPage, bundlePage } from '../../pages/bundle.ts'

export function buildPage(): BundledPage {
  const { script, style } = bundlePage(import.meta.url)
  return { script: `/*!\n${license()}*/\n${script}`, style }
}

/** The page contains uPlot, whose licence must be included. */
function license(): string {
  const folder = dirname(createRequire(import.meta.url).resolve('uplot/package.json'))
  return `uPlot, https://github.com/leeoniya/uPlot\n\n${readFileSync(join(folder, 'LICENSE'), 'utf8')}`
}
