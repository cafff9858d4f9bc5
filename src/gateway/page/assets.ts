// The script and the style of the page. In the package, tsup.config.ts replaces this file with the bundled texts.

import { bundlePage } from '../../pages/bundle.ts'

export const { script, style } = bundlePage(import.meta.url)
