// Bundles the script and the style of a page as texts, because a page must be self-contained. Used when the
// package is built (tsup.config.ts), and at run time when a command runs from its sources.

import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

/** A page as texts. */
export interface BundledPage {
  script: string
  style: string
}

/** `folder`: the URL of the folder that holds `client.ts` and `style.css`, or of another file in it. */
export function bundlePage(folder: string | URL): BundledPage {
  const build = (entry: string) =>
    buildSync({
      entryPoints: [fileURLToPath(new URL(entry, folder))],
      bundle: true,
      write: false,
      minify: true,
      format: 'iife',
      target: ['es2022'],
      legalComments: 'none',
    }).outputFiles[0]!.text.trim()
  return { script: build('client.ts'), style: build('style.css') }
}
