// What the page carries with it. In the package this file is the finished texts: tsup.config.ts sees to that.

import { buildPage } from './build.ts'

export const { script, style } = buildPage()
