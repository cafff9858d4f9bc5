// The page of `llmiter graph` as texts, with the licence of what it carries.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type BundledPage, bundlePage } from '../../pages/bundle.ts'

export function buildPage(): BundledPage {
  const { script, style } = bundlePage(import.meta.url)
  return { script: `/*!\n${license()}*/\n${script}`, style }
}

/** What is passed on of uPlot is passed on under its licence, which must come with it. */
function license(): string {
  const folder = dirname(createRequire(import.meta.url).resolve('uplot/package.json'))
  return `uPlot, https://github.com/leeoniya/uPlot\n\n${readFileSync(join(folder, 'LICENSE'), 'utf8')}`
}
