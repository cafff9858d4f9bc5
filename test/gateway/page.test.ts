// The page of the gateway in a real browser: what it shows, and that it shows nothing without the admin key.

import { mkdtempSync, rmSync } from 'node:fs'
import { type ClientRequest, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import axe from 'axe-core'
import { type Browser, chromium as driver, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { KeyRing } from '../../src/gateway/key-ring.ts'
import { chromium, CHROMIUM_FLAGS } from '../support/chromium.ts'
import { ask, CANARY, type Rig, startRig } from './rig.ts'

const ADMIN = 'the-admin-key'
/** A tenant whose name would be markup, if names could be. */
const TENANT = '<img src=x onerror=alert(1)>'
const SHOTS = process.env['LLMITER_SHOTS']
const PAGE = { path: '/-/', method: 'GET' }

const state = mkdtempSync(join(tmpdir(), 'llmiter-test-'))
let rig: Rig
let url: string
let key: string
beforeAll(async () => {
  rig = await startRig()
  key = new KeyRing(state).add({ name: 'alice', budgets: [{ usd: 1, per: 'day' }] }).key
  ;({ url } = await rig.gatewayOf({
    state,
    adminKey: ADMIN,
    targets: [
      rig.targetOf({ name: 'busy', limits: { requestsPerMinute: 2, burst: 1 } }),
      rig.targetOf({ name: 'idle', protocol: 'anthropic', baseUrl: rig.server.url }),
    ],
    budgets: [{ requests: 10, per: 'day', by: 'tenant', name: 'calls' }],
    prices: { default: { input: 1, output: 1 } },
  }))
  rig.server.replies({ body: { usage: { prompt_tokens: 1000, completion_tokens: 100_000 } } })
})
afterAll(async () => {
  await rig.close()
  rmSync(state, { recursive: true, force: true })
})

const terms = () => ({
  headers: { authorization: `Bearer ${key}`, 'x-llmiter-tenant': TENANT },
  body: { model: 'm', max_tokens: 10 },
})

/** A call that waits until it is left. */
function waitingCall(): ClientRequest {
  const { headers, body } = terms()
  const made = request(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
  })
  made.on('error', () => {})
  made.end(JSON.stringify(body))
  return made
}

test('the page contains no data, loads nothing, and runs no other script', async () => {
  const { status, headers, text } = await ask(url, PAGE)
  expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
  expect(text).not.toMatch(/busy|alice|canary/)
  expect(text.match(/(src|href)="(?!data:,")|@import|url\(|https?:\/\/(?!www\.w3\.org)/g)).toBe(null)
  const policy = headers['content-security-policy'] as string
  expect(policy).toContain("default-src 'none'")
  expect(policy).not.toContain('unsafe')
})

test('without the admin key there is no data', async () => {
  for (const authorization of ['', `Bearer ${key}`, 'Bearer wrong'])
    expect((await ask(url, { path: '/-/status', method: 'GET', headers: { authorization } })).status).toBe(
      401,
    )
})

describe.skipIf(!chromium && !process.env['CI'])('in a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await driver.launch({ executablePath: chromium!, args: CHROMIUM_FLAGS })
  })
  afterAll(() => browser?.close())

  async function open(): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1000, height: 900 } })
    const tab = await context.newPage()
    const complaints: string[] = []
    tab.on('console', (message) => {
      // Without a key the page gets a refusal, which the browser logs.
      if (!message.text().includes('401')) complaints.push(message.text())
    })
    tab.on('pageerror', (error) => complaints.push(error.message))
    tab.on('dialog', (dialog) => complaints.push(dialog.message()))
    tab.on('request', (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith('data:')) complaints.push(request.url())
    })
    onTestFinished(async () => {
      await context.close()
      expect(complaints).toEqual([])
    })
    await tab.goto(`${url}/-/`)
    return tab
  }

  async function unlock(tab: Page, adminKey = ADMIN): Promise<void> {
    await tab.getByLabel('Admin key').fill(adminKey)
    await tab.getByRole('button', { name: 'Show' }).click()
  }

  async function violations(tab: Page): Promise<string[]> {
    // As a script of the page it would be stopped by the policy.
    await tab.evaluate(axe.source)
    return tab.evaluate(async () => {
      const { axe: inPage } = globalThis as never as { axe: typeof axe }
      const found = await inPage.run()
      return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
    })
  }

  test('targets, the queue with its reason, and budgets, live', async () => {
    const tab = await open()
    await tab.getByText('this needs the admin key').waitFor()
    await unlock(tab, 'wrong')
    await tab.getByText('this needs the admin key').waitFor()
    await unlock(tab)
    await tab.getByRole('heading', { name: 'busy' }).waitFor()
    expect((await ask(url, terms())).status).toBe(200)
    const waiting = [waitingCall(), waitingCall()]
    const text = () => tab.locator('main').textContent()
    await vi.waitFor(async () => expect(await text()).toMatch(/2wait/), { timeout: 10_000 })
    expect(await text()).toContain('Calls wait for the limit of 2 requests a minute.')
    expect(await text()).toContain('busy openai at its limit')
    expect(await text()).toContain('idle anthropic ready')
    expect(await text()).toContain('200: 1')
    expect(await text()).toMatch(/\$0\.1010 of \$1\.00 used/)
    expect(await text()).toContain(`calls · ${TENANT}`)
    expect(await text()).toContain('1 of 10 requests used, 2 reserved')
    expect(await tab.content()).not.toContain(CANARY)
    for (const left of waiting) left.destroy()
    await vi.waitFor(async () => expect(await text()).toMatch(/0wait/), { timeout: 10_000 })
  })

  test('readable for everybody, in the light, in the dark and on a phone', async () => {
    const tab = await open()
    await unlock(tab)
    await tab.getByRole('heading', { name: 'Budgets' }).waitFor()
    for (const [name, colorScheme, width] of [
      ['light', 'light', 1000],
      ['dark', 'dark', 1000],
      ['phone', 'light', 360],
    ] as const) {
      await tab.emulateMedia({ colorScheme })
      await tab.setViewportSize({ width, height: 800 })
      expect(await violations(tab), name).toEqual([])
      expect(await tab.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name).toBe(true)
      if (SHOTS) await tab.screenshot({ path: `${SHOTS}/gateway-${name}.png`, fullPage: true })
    }
  })
})
