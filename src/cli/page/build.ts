// The program and the style of the page, each in one text: the page loads nothing. Used when the package is built
// (tsup.config.ts), and on the spot when the command runs from its sources.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

export function buildPage(): { script: string; style: string } {
  const build = (entry: string) =>
    buildSync({
      entryPoints: [fileURLToPath(new URL(entry, import.meta.url))],
      bundle: true,
      write: false,
      minify: true,
      format: 'iife',
      target: ['es2022'],
      legalComments: 'none',
    }).outputFiles[0]!.text.trim()
  return { script: `/*!\n${license()}*/\n${build('client.ts')}`, style: build('style.css') }
}

/** What is passed on of uPlot is passed on under its licence, which must come with it. */
function license(): string {
  const folder = dirname(createRequire(import.meta.url).resolve('uplot/package.json'))
  return `uPlot, https://github.com/leeoniya/uPlot\n\n${readFileSync(join(folder, 'LICENSE'), 'utf8')}`
}
