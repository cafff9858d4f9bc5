// The page at `/-/`. It contains no data. Its script requests `/-/status`, with the admin key if one is needed.
// The browser runs only this script and this style, and connects only to the gateway.

import { createHash } from 'node:crypto'
import { script, style } from './assets.ts'

const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>llmiter gateway</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<noscript>This page needs JavaScript. The same facts are at /-/status and /-/metrics.</noscript>
<main></main>
<script>${script}</script>
</body>
</html>
`

export const PAGE_HEADERS = {
  'content-security-policy':
    `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; img-src data:; ` +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
}
