// The script and the style of the page. In the package, tsup.config.ts replaces this file with the bundled texts.

import { buildPage } from './build.ts'

export const { script, style } = buildPage()
