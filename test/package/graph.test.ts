// The page of `llmiter graph`, made by the installed command from a recorded run of the demo, in a real browser.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import axe from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium as driver, type Page } from 'playwright-core'
import type { LogRecord } from '../../src/telemetry/log-record.ts'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { chromium, CHROMIUM_FLAGS } from '../support/chromium.ts'
import { type Cause, STORIES, tell } from '../support/cause-logs.ts'
import { linesOf, record } from '../support/records.ts'

const app = inject('app')
const DEMO = join(import.meta.dirname, '../../examples/demo.ts')
const CALLS = 120
const SHOTS = process.env.LLMITER_SHOTS

const folder = mkdtempSync(join(tmpdir(), 'llmiter-graph-'))
const page = join(folder, 'page.html')
const node = (...args: string[]) => execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
const COMMAND = join(app, 'node_modules/llmiter/dist/cli/llmiter.js')
const graph = (...args: string[]) => node(COMMAND, 'graph', ...args)

const SCREENS = {
  light: { viewport: { width: 1100, height: 700 } },
  dark: { viewport: { width: 1100, height: 700 }, colorScheme: 'dark' },
  phone: { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
  forced: { viewport: { width: 1100, height: 700 }, forcedColors: 'active' },
} satisfies Record<string, BrowserContextOptions>

interface Axe {
  axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> }
}

beforeAll(() => {
  node(DEMO, '--calls', String(CALLS), '--rpm', '1800')
  expect(graph('--out', page)).toContain(`${CALLS} calls in`)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the page is one file that loads nothing', () => {
  const text = readFileSync(page, 'utf8')
  expect(text.match(/(src|href)=|@import|url\(|https?:\/\/(?!www\.w3\.org|github\.com\/leeoniya)/g)).toBe(
    null,
  )
  expect(text).toContain('Permission is hereby granted')
})

describe.skipIf(!chromium && !process.env.CI)('in a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    if (!chromium) throw new Error('chromium is not installed')
    browser = await driver.launch({ executablePath: chromium, args: CHROMIUM_FLAGS })
  })
  afterAll(() => browser?.close())

  /** Opens a page; whatever it complains about fails the test. */
  async function open(file = page, options: BrowserContextOptions = {}) {
    const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options })
    const tab = await context.newPage()
    const complaints: string[] = []
    tab.on('console', (message) => {
      // Said of the reading of colours below.
      if (!message.text().includes('willReadFrequently')) complaints.push(message.text())
    })
    tab.on('pageerror', (error) => complaints.push(error.message))
    tab.on('request', (request) => {
      if (!request.url().startsWith('file:')) complaints.push(request.url())
    })
    onTestFinished(async () => {
      await context.close()
      expect(complaints).toEqual([])
    })
    await tab.goto(`file://${file}`)
    await tab.locator('.u-over').first().waitFor()
    return tab
  }

  /** A page of these records, made by the command. */
  const drawn = async (name: string, records: readonly LogRecord[]) => {
    const file = join(folder, `${name}.html`)
    await writeFile(join(folder, `${name}.jsonl`), linesOf(records))
    graph('--file', `${name}.jsonl`, '--out', file)
    return file
  }

  const shot = async (tab: Page, name: string) => {
    if (SHOTS) await tab.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true })
  }

  /** How many points of the first panel have the colour of this line, or one very near. */
  const painted = (tab: Page, line: string) =>
    tab.evaluate((name) => {
      const probe = document.createElement('i')
      probe.style.color = `var(--${name})`
      document.body.append(probe)
      const wanted = getComputedStyle(probe).color.match(/\d+/g)!.map(Number)
      probe.remove()
      const canvas = document.querySelector('canvas')!
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
      let count = 0
      for (let i = 0; i < data.length; i += 4) {
        if (wanted.every((value, j) => Math.abs(value - data[i + j]!) < 12)) count++
      }
      return count
    }, line)

  const readout = (tab: Page) => tab.locator('.readout').first().innerText()
  const said = (tab: Page) => tab.locator('#said').innerText()
  const button = (tab: Page, name: string) => tab.getByRole('button', { name, exact: true })
  const shownSpan = async (tab: Page) => {
    const words = /^Shown: (.*) to (.*) of (.*)\.$/.exec(await said(tab))!
    return words.slice(1).map((text) => Number.parseInt(text))
  }

  test('each line is drawn, and goes when its button is pressed', async () => {
    const tab = await open()
    expect(await tab.locator('[data-line]').count()).toBe(12)
    // Calls, limits, waits, tokens.
    expect(await tab.locator('.u-over').count()).toBe(4)
    expect(await tab.locator('.summary').innerText()).toMatch(
      new RegExp(`^${CALLS} calls in .*${CALLS} answered\\. .* 0 refusals`),
    )
    await shot(tab, 'light')
    for (const line of ['requests', 'issued', 'finished']) {
      const before = await painted(tab, line)
      expect(before, line).toBeGreaterThan(30)
      await button(tab, line).click()
      expect(await button(tab, line).getAttribute('aria-pressed')).toBe('false')
      await expect.poll(() => painted(tab, line), { message: line }).toBeLessThan(before / 10)
      await button(tab, line).click()
    }
  })

  test('refusals and failures are marks above everything, however many points there are', async () => {
    const seconds = Array.from({ length: 3600 }, (_, i) =>
      record(i * 1000, {
        ...{ requests: 20, issued: 20, finished: 20, rate: 1200, limit: 1200 },
        ...(i === 1800 && { refused: 1, refusal: 'rate: 429' }),
        ...(i === 2700 && { failed: 1, failure: '500 ServerError' }),
      }),
    )
    const file = await drawn('marks', seconds)
    const tab = await open(file)
    await shot(tab, 'marks')
    for (const line of ['refused', 'failed']) {
      const before = await painted(tab, line)
      expect(before, line).toBeGreaterThan(15)
      await tab.locator(`[data-line=${line}]`).click()
      await expect.poll(() => painted(tab, line), { message: line }).toBeLessThan(before / 5)
    }
    expect(await tab.locator('.summary').innerText()).toContain('1 refusal (the last: rate: 429)')
  })

  test('the mouse reads a moment; a drag zooms in, and there is a way back', async () => {
    const tab = await open()
    const plot = (await tab.locator('.u-over').first().boundingBox())!
    await tab.mouse.move(plot.x + 3, plot.y + 50)
    await expect.poll(() => readout(tab)).toContain(`requests ${CALLS}`)
    expect(await readout(tab)).toMatch(/rate 1,800\/min[^]*token limit 200,000\/min/)

    await tab.mouse.move(plot.x + plot.width * 0.1, plot.y + 50)
    await tab.mouse.down()
    await tab.mouse.move(plot.x + plot.width * 0.3, plot.y + 60, { steps: 4 })
    await tab.mouse.up()
    const [from, to, all] = await shownSpan(tab)
    expect(to! - from!).toBeLessThan(all!)
    expect(await button(tab, 'Back to the part shown before').isEnabled()).toBe(true)
    await button(tab, 'Back to the part shown before').click()
    await expect.poll(() => shownSpan(tab)).toEqual([0, all, all])
  })

  test('by keyboard alone: focus, zoom, move, read, pick a line', async () => {
    const long = join(folder, 'long.html')
    writeFileSync(
      join(folder, 'long.jsonl'),
      linesOf(Array.from({ length: 3600 }, (_, i) => record(i * 1000, { issued: i % 7, requests: 1 }))),
    )
    graph('--file', 'long.jsonl', '--out', long)
    const tab = await open(long)
    const focused = () => tab.evaluate(() => document.activeElement!.className)
    for (let i = 0; i < 30 && (await focused()) !== 'plot'; i++) await tab.keyboard.press('Tab')
    expect(await focused()).toBe('plot')
    expect(await tab.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle)).toBe('solid')
    await shot(tab, 'focus')

    await tab.keyboard.press('+')
    expect(await said(tab)).toBe('Shown: 15 min to 45 min of 1 h.')
    await tab.keyboard.press('ArrowRight')
    expect(await said(tab)).toBe('Shown: 22 min 30 s to 52 min 30 s of 1 h.')
    await tab.keyboard.press('Backspace')
    expect(await said(tab)).toBe('Shown: 0 s to 1 h of 1 h.')
    for (let i = 0; i < 12; i++) await tab.keyboard.press('+')
    await tab.keyboard.press('Shift+ArrowRight')
    await tab.keyboard.press('Shift+ArrowRight')
    expect(await said(tab)).toMatch(/: requests 1, issued \d, refused 0, finished 0, overflow 0$/)
    expect(await readout(tab)).toMatch(/issued \d/)
    await tab.keyboard.press('0')
    expect(await said(tab)).toBe('Shown: 0 s to 1 h of 1 h.')
    await tab.keyboard.press('-')
    expect(await said(tab)).toBe('Shown: 0 s to 1 h of 1 h.')

    await button(tab, 'issued').focus()
    await tab.keyboard.press('Space')
    expect(await button(tab, 'issued').getAttribute('aria-pressed')).toBe('false')
  })

  test('the picker shows one limiter, or all; the table says the same in numbers', async () => {
    writeFileSync(
      join(folder, 'two.jsonl'),
      linesOf([
        record(0, { name: 'a', requests: 3, issued: 3 }),
        record(0, { name: 'b', requests: 4, issued: 4, waiting: 2, gate: 'closed' }),
      ]),
    )
    const file = join(folder, 'two.html')
    graph('--file', 'two.jsonl', '--out', file)
    const tab = await open(file)
    const cells = () => tab.locator('details tr').nth(1).locator('td').allInnerTexts()
    await tab.getByText('Numbers').click()
    expect(await cells()).toEqual(['7', '7', '0', '0', '0', '2', '', 'closed', ''])
    await tab.getByLabel('Limiter').selectOption('a')
    expect(await cells()).toEqual(['3', '3', '0', '0', '0', '0', '', 'open', ''])
    expect(await tab.locator('.summary').innerText()).toContain('3 calls')
  })

  test('runs stand side by side, on one scale of time', async () => {
    const file = join(folder, 'compare.html')
    graph('--file', 'two.jsonl', '--file', 'long.jsonl', '--out', file)
    const tab = await open(file)
    const boxes = await Promise.all([0, 1].map((i) => tab.locator('.run').nth(i).boundingBox()))
    expect(boxes[0]!.y).toBe(boxes[1]!.y)
    await shot(tab, 'compare')
    await tab.locator('.plot').nth(0).focus()
    await tab.keyboard.press('Shift+ArrowRight')
    expect(await said(tab)).toMatch(/^0:00, 15 s: requests 7, /)
    await tab.getByLabel('Limiter').selectOption('gpt-5')
    expect(await tab.locator('.summary').allInnerTexts()).toEqual([
      "No 'gpt-5' in this run.",
      expect.stringContaining('3,600 calls'),
    ])
  })

  test('on a phone nothing is cut off', async () => {
    for (const file of [page, join(folder, 'compare.html')]) {
      const tab = await open(file, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true })
      expect(await tab.evaluate(() => document.documentElement.scrollWidth)).toBe(360)
      await tab.getByText('Numbers').first().tap()
      expect(await tab.evaluate(() => document.documentElement.scrollWidth)).toBe(360)
      await button(tab, 'Zoom in').tap()
      expect(await said(tab)).toMatch(/^Shown: /)
      await shot(tab, `phone${file === page ? '' : '-compare'}`)
      // Turned, it is drawn anew.
      await tab.setViewportSize({ width: 740, height: 360 })
      await expect
        .poll(async () => (await tab.locator('canvas').first().boundingBox())!.width)
        .toBeGreaterThan(600)
    }
  })

  test('dark where the reader wants it, also when that changes', async () => {
    const tab = await open(page, { colorScheme: 'dark' })
    const paper = () => tab.evaluate(() => getComputedStyle(document.body).backgroundColor)
    expect(await paper()).toBe('rgb(13, 17, 23)')
    const dark = await painted(tab, 'issued')
    expect(dark).toBeGreaterThan(30)
    await shot(tab, 'dark')
    await tab.emulateMedia({ colorScheme: 'light' })
    expect(await paper()).toBe('rgb(255, 255, 255)')
    await expect.poll(() => painted(tab, 'issued')).toBeGreaterThan(30)
  })

  test('without a program it is still a picture and its totals', async () => {
    const context = await browser.newContext({ javaScriptEnabled: false })
    onTestFinished(() => context.close())
    const tab = await context.newPage()
    await tab.goto(`file://${page}`)
    expect(await tab.locator('svg[role=img]').isVisible()).toBe(true)
    expect(await tab.locator('.summary').innerText()).toContain(`${CALLS} calls`)
  })

  /** What a stranger must be able to say of a stuck batch: the sentence, the strip, the table. */
  const SAID: Record<Cause, { sentence: RegExp; strip: string; refused?: string; failed?: string }> = {
    requests: { sentence: /they waited for requests \(60 a minute\)/, strip: 'requests a minute' },
    'output tokens': {
      sentence: /they waited for output tokens \(10,000 a minute\)/,
      strip: 'output tokens a minute',
    },
    "day's quota": { sentence: /they waited for requests \(100 a day\)/, strip: 'requests a day' },
    concurrency: { sentence: /waited for a free slot \(at most 2 in flight\)/, strip: 'calls in flight' },
    parent: {
      sentence: /for requests of 'account' \(60 a minute\)/,
      strip: "requests a minute of 'account'",
    },
    'gate by rate': {
      sentence: /for the provider, which refused calls as too many \("429.*5 refusals/,
      strip: 'gate: too many requests',
      refused: '5',
    },
    'gate by overload': {
      sentence: /for the provider, which is overloaded \("503.*5 refusals/,
      strip: 'gate: provider overloaded',
      refused: '5',
    },
    'gate by quota': {
      sentence: /7\d turned away \(the quota is used up\)\..*1 refusal \(the last: quota: 429/,
      strip: 'requests a minute',
      ...{ refused: '1', failed: '1' },
    },
    retry: {
      sentence: /for the next try after a failure \(500 InternalServerError\)/,
      strip: 'retry after a failure',
      failed: '10',
    },
    health: { sentence: /lowered since the provider is slow/, strip: 'slow provider' },
    store: { sentence: /for a slot from the store that processes share/, strip: 'the store' },
    pause: { sentence: /for the end of pause\(\)/, strip: 'pause()' },
    'failing key': {
      sentence: /0 answered, 40 failed\. Every call failed \(401 AuthenticationError\)\./,
      strip: 'requests a minute',
      failed: '40',
    },
    'dead process': {
      sentence:
        /7\d still waiting when the log ends\..* ends at 2026-01-31 \d\d:00:2\d with 7\d calls unfinished: its program ended or was killed\./,
      strip: 'requests a minute',
    },
  }

  test.each(Object.keys(STORIES) as Cause[])(
    'what held the calls is on the first screen: %s',
    async (cause) => {
      const log = await tell(cause, join(folder, cause))
      const file = join(folder, cause, 'page.html')
      graph('--file', log, '--out', file)
      const { sentence, strip, refused = '0', failed = '0' } = SAID[cause]
      // A phone first; the rest is read on a wide screen.
      let tab!: Page
      for (const screen of ['phone', 'light'] as const) {
        tab = await open(file, SCREENS[screen])
        const summary = tab.locator('.summary')
        expect(await summary.innerText()).toMatch(sentence)
        const box = (await summary.boundingBox())!
        expect(box.y + box.height).toBeLessThan(SCREENS[screen].viewport.height)
        await shot(tab, `${cause}-${screen}`)
      }
      const longest = await tab.evaluate(() => {
        const parts = [...document.querySelectorAll<HTMLElement>('.strip span')]
        return parts.sort((a, b) => b.offsetWidth - a.offsetWidth)[0]!.dataset['cause']
      })
      expect(longest).toBe(strip)
      expect(await tab.locator('.strip').getAttribute('aria-label')).toContain(strip)
      expect(await tab.locator('.causes').first().innerText()).toContain(strip)
      const cells = await tab.locator('.limiters tbody td').allInnerTexts()
      expect(cells.slice(4)).toEqual([strip, refused, failed])
      // It adds up: what came of the calls is all the calls.
      const words = /^([\d,]+) calls in .*?: (.*?)( when the log ends)?\. /.exec(
        await tab.locator('.summary').innerText(),
      )!
      const ends = words[2]!.match(/\d+/g)!.map(Number)
      expect(ends.reduce((a, b) => a + b)).toBe(STORIES[cause].calls)
    },
  )

  test('the table of limiters sorts, and selects; what is shown stands in the address', async () => {
    const limits = { rate: 60, limit: 60 }
    const file = await drawn('three', [
      record(0, {
        name: 'a',
        requests: 30,
        issued: 1,
        waiting: 29,
        waitMs: { p50: 1, p95: 9000 },
        ...limits,
      }),
      record(0, { name: 'b', requests: 5, finished: 5, refused: 2, ...limits }),
      record(0, { name: 'c', requests: 9, failed: 9, failure: '401 AuthenticationError', ...limits }),
      ...Array.from({ length: 60 }, (_, i) => record(1000 + i * 1000, { name: 'a', waiting: 29, ...limits })),
    ])
    const tab = await open(file)
    const names = () => tab.locator('.limiters tbody th').allInnerTexts()
    expect(await names()).toEqual(['a', 'b', 'c'])
    await button(tab, 'refused').first().click()
    expect(await names()).toEqual(['b', 'a', 'c'])
    expect(await tab.locator('th[aria-sort]').getAttribute('aria-sort')).toBe('descending')
    await tab.locator('[data-sort=limiter]').click()
    await tab.locator('[data-sort=limiter]').click()
    expect(await names()).toEqual(['c', 'b', 'a'])
    await button(tab, 'c').click()
    expect(await tab.locator('.summary').innerText()).toMatch(/^9 calls .* Every call failed \(401/)
    await tab.locator('[data-line=issued]').click()
    await button(tab, 'Zoom in').click()

    const [, hash] = tab.url().split('#')
    expect(Object.fromEntries(new URLSearchParams(hash))).toEqual({
      ...{ limiter: 'c', sort: '-limiter', lines: expect.not.stringContaining('i') as string },
      ...{ from: expect.stringMatching(/^1\d$/) as string, to: expect.stringMatching(/^4\d$/) as string },
    })
    const again = await open(file)
    await again.goto(`file://${file}#${hash!}`)
    await again.reload()
    expect(await again.locator('.limiters tbody th').allInnerTexts()).toEqual(['c', 'b', 'a'])
    expect(await again.getByLabel('Limiter').inputValue()).toBe('c')
    expect(await again.locator('[data-line=issued]').getAttribute('aria-pressed')).toBe('false')
    expect(await button(again, 'Show all of it').isEnabled()).toBe(true)
  })

  test('fingers: two zoom, one moves, and the page still scrolls', async () => {
    const tab = await open(join(folder, 'long.html'), SCREENS.phone)
    const plot = (await tab.locator('.u-over').first().boundingBox())!
    const cdp = await tab.context().newCDPSession(tab)
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...xs: number[]) =>
      cdp.send('Input.dispatchTouchEvent', {
        type,
        touchPoints: xs.map((x, id) => ({ x: plot.x + x, y: plot.y + 40, id })),
      })
    await touch('touchStart', plot.width / 2 - 20, plot.width / 2 + 20)
    for (const by of [30, 45, 60]) await touch('touchMove', plot.width / 2 - by, plot.width / 2 + by)
    await touch('touchEnd')
    const [from, to] = await shownSpan(tab)
    expect(to! - from!).toBeLessThan(30)
    expect(from).toBeGreaterThan(10)
    await touch('touchStart', plot.width / 2)
    for (const by of [10, 20, 40]) await touch('touchMove', plot.width / 2 - by)
    await touch('touchEnd')
    const [later] = await shownSpan(tab)
    expect(later).toBeGreaterThan(from!)
    await button(tab, 'Back to the part shown before').tap()
    expect((await shownSpan(tab))[0]).toBe(from)
  })

  test.each(['light', 'dark', 'phone', 'forced'] as const)('axe finds nothing wrong: %s', async (screen) => {
    for (const file of [page, join(folder, 'compare.html')]) {
      const tab = await open(file, SCREENS[screen])
      for (const details of await tab.getByText('Numbers').all()) await details.click()
      await shot(tab, `axe-${screen}`)
      await tab.evaluate(axe.source)
      const found = await tab.evaluate(async () => {
        const { violations } = await (globalThis as unknown as Axe).axe.run()
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
      })
      expect(found).toEqual([])
    }
  })

  test('on paper it is as wide as the paper, without buttons', async () => {
    const tab = await open(page)
    await tab.setViewportSize({ width: 700, height: 900 })
    await tab.emulateMedia({ media: 'print' })
    expect(await tab.locator('.controls').isVisible()).toBe(false)
    expect(await tab.locator('.summary').isVisible()).toBe(true)
    await expect
      .poll(async () => (await tab.locator('canvas').first().boundingBox())!.width)
      .toBeLessThanOrEqual(700)
    await shot(tab, 'print')
    expect((await tab.pdf()).length).toBeGreaterThan(10_000)
  })

  test('hours are those of the zone in which it was made, and the zone is named', async () => {
    const file = join(folder, 'zone.html')
    writeFileSync(
      join(folder, 'zone.jsonl'),
      linesOf([
        record(Date.UTC(2026, 0, 31, 23, 30), { requests: 3 }),
        record(Date.UTC(2026, 0, 31, 23, 40)),
      ]),
    )
    execFileSync(
      process.execPath,
      [COMMAND, 'graph', '--file', 'zone.jsonl', '--out', file, '--from', '2026-02-01'],
      {
        ...{ cwd: folder, env: { ...process.env, TZ: 'Asia/Tokyo' } },
      },
    )
    const tab = await open(file, { timezoneId: 'America/New_York' })
    await tab.locator('.plot').focus()
    await tab.keyboard.press('Shift+ArrowRight')
    expect(await said(tab)).toMatch(/^08:30:00/)
    expect(await tab.locator('#help').innerText()).toContain('Asia/Tokyo')
  })

  // How fast depends on the machine, and is printed. What it depends on besides is how much there is to read, and that
  // a zoom draws at once.
  test('a day of several limiters opens fast', async () => {
    const day = ['a', 'b', 'c'].map((name) =>
      linesOf(
        Array.from({ length: 86_400 }, (_, i) =>
          record(i * 1000, {
            ...{
              name,
              requests: i % 30,
              issued: i % 20,
              finished: i % 19,
              waiting: i % 500,
              inFlight: 9,
              rate: 1200,
            },
            ...{ limit: 1200, refused: i === 50_000 ? 3 : 0 },
            tokens: { asked: i % 999, used: i % 777, available: 5000, limit: 200_000 },
          }),
        ),
      ),
    )
    writeFileSync(join(folder, 'day.jsonl'), day.join(''))
    const file = join(folder, 'day.html')
    graph('--file', 'day.jsonl', '--out', file)
    const since = performance.now()
    const tab = await open(file)
    const ms = performance.now() - since
    await shot(tab, 'day')
    expect(readFileSync(file).length / 2 ** 20).toBeLessThan(8)
    expect(await tab.locator('.summary').innerText()).toContain('9 refusals')
    // Nine refusals of 86,400 seconds can be seen.
    expect(await painted(tab, 'refused')).toBeGreaterThan(10)
    const zoomed = await tab.evaluate(() => {
      const start = performance.now()
      document.querySelector<HTMLElement>('[data-zoom=in]')!.click()
      return { ms: performance.now() - start, said: document.querySelector('#said')!.textContent }
    })
    expect(zoomed.said).toMatch(/^Shown: 6 h/)
    console.log(
      `a day of three limiters: ${(readFileSync(file).length / 2 ** 20).toFixed(1)} MB, opens in ${ms.toFixed(0)} ms, zooms in ${zoomed.ms.toFixed(0)} ms`,
    )
  })
})
