// The site as it was built (`npm run site`), in a real browser: every link leads somewhere, everybody can read it, and
// the search finds.

import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import axe from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium as driver } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { chromium, CHROMIUM_FLAGS } from '../support/chromium.ts'

const SITE = join(import.meta.dirname, '../../site/.vitepress/dist')
const SHOTS = process.env.LLMITER_SHOTS
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

/** The file that a host gives for a path: `/batch` is `batch.html`, `/api/` is `api/index.html`. */
const fileOf = (path: string) =>
  [path, `${path}.html`, `${path}index.html`]
    .map((name) => join(SITE, name))
    .find((file) => extname(file) !== '' && existsSync(file))

const pages = readdirSync(SITE, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.html') && name !== '404.html')
  .map((name) => `/${name.replace(/(index)?\.html$/, '')}`)

const idsIn = new Map<string, Set<string>>()
const idsOf = (file: string) => {
  if (!idsIn.has(file)) {
    idsIn.set(
      file,
      new Set(Array.from(readFileSync(file, 'utf8').matchAll(/ id="([^"]+)"/g), ([, id]) => id!)),
    )
  }
  return idsIn.get(file)!
}

/** The links of a page that lead nowhere: to no file, or to a heading that the file has not. */
function deadLinks(page: string): string[] {
  const text = readFileSync(fileOf(page)!, 'utf8')
  const links = new Set(
    Array.from(text.matchAll(/ (?:href|src)="([^"]+)"/g), ([, link]) => link!.replaceAll('&amp;', '&')),
  )
  return [...links].filter((link) => {
    const url = new URL(link, `http://site${page}`)
    if (url.host !== 'site') return !['https:', 'data:'].includes(url.protocol)
    const file = fileOf(decodeURIComponent(url.pathname))
    return file === undefined || (url.hash !== '' && !idsOf(file).has(decodeURIComponent(url.hash.slice(1))))
  })
}

test('has the guides, the API of each entry, and the examples', () => {
  expect(pages).toEqual(
    expect.arrayContaining([
      ...[
        '/',
        '/slow',
        '/limits',
        '/testing',
        '/fleet',
        '/gateway',
        '/law',
        '/comparison',
        '/migrate/bottleneck',
      ],
      '/api/llmiter/classes/BucketRateLimiter',
      '/api/llmiter/pool/functions/createPool',
      '/examples/batch',
    ]),
  )
})

test('no link is dead', () => {
  const dead = pages.flatMap((page) => deadLinks(page).map((link) => `${page} → ${link}`))
  expect(dead).toEqual([])
})

describe.skipIf(!chromium && !process.env.CI)('in a browser', () => {
  let browser: Browser
  let server: Server
  let origin: string
  beforeAll(async () => {
    if (!chromium) throw new Error('chromium is not installed')
    server = createServer((request, response) => {
      const file = fileOf(decodeURIComponent(new URL(request.url!, 'http://site').pathname))
      response.writeHead(file ? 200 : 404, { 'content-type': TYPES[extname(file ?? '')] ?? 'text/plain' })
      if (file) createReadStream(file).pipe(response)
      else response.end()
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    browser = await driver.launch({ executablePath: chromium, args: CHROMIUM_FLAGS })
  })
  afterAll(async () => {
    await browser?.close()
    server?.close()
  })

  /** A tab; whatever its pages complain about, or asks of other hosts, fails the test. */
  async function open(options: BrowserContextOptions = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
    const tab = await context.newPage()
    const complaints: string[] = []
    tab.on('console', (message) => complaints.push(message.text()))
    tab.on('pageerror', (error) => complaints.push(error.message))
    tab.on('request', (request) => {
      if (!request.url().startsWith(origin) && !request.url().startsWith('data:'))
        complaints.push(request.url())
    })
    onTestFinished(async () => {
      await context.close()
      expect(complaints).toEqual([])
    })
    return tab
  }

  const some = ['/', '/slow', '/api/llmiter/classes/BucketRateLimiter']
  const more = [
    '/limits',
    '/law',
    '/reference',
    '/fleet',
    '/comparison',
    '/migrate/bottleneck',
    '/examples/batch',
  ]
  test.each<[screen: string, paths: string[], options: BrowserContextOptions]>([
    ['light', [...some, ...more], {}],
    ['dark', some, { colorScheme: 'dark' }],
    ['phone', some, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }],
  ])('axe finds nothing wrong, %s', async (screen, paths, options) => {
    const wrong: string[] = []
    const tab = await open(options)
    for (const path of paths) {
      await tab.goto(origin + path)
      if (SHOTS) await tab.screenshot({ path: join(SHOTS, `site-${screen}${path.replaceAll('/', '-')}.png`) })
      await tab.evaluate(axe.source)
      const found = await tab.evaluate(async () => {
        type Axe = { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> }
        const { violations } = await (globalThis as unknown as { axe: Axe }).axe.run()
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
      })
      if (await tab.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth'))
        found.push('scrolls sideways')
      wrong.push(...found.map((what) => `${path}: ${what}`))
    }
    expect(wrong).toEqual([])
  })

  test('the search finds a guide by its question, and an option by its name', async () => {
    const tab = await open()
    await tab.goto(`${origin}/`, { waitUntil: 'networkidle' })
    for (const [words, link] of [
      ['batch is slow', '/slow'],
      ['maxConcurrent', '/reference'],
    ] as const) {
      await tab.locator('.DocSearch-Button').click()
      await tab.locator('#localsearch-input').fill(words)
      await tab.locator(`.results a[href^="${link}"]`).first().waitFor()
      await tab.keyboard.press('Escape')
    }
  })
})
