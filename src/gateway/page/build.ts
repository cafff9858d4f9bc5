// Builds the script and the style of the page into one text each: the page loads nothing. It runs when the package is
// built, and when the gateway runs from its sources.

import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

export function buildGatewayPage(): { script: string; style: string } {
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
  return { script: build('client.ts'), style: build('style.css') }
}
