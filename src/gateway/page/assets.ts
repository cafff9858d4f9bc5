// The script and the style of the page. In the package this file is the finished texts: tsup.config.ts sees to that.

import { bundlePage } from '../../pages/bundle.ts'

export const { script, style } = bundlePage(import.meta.url)
