// The installed browser. Without one, tests that need it are skipped with a message. In CI they fail.

import { execFileSync } from 'node:child_process'

export const CHROMIUM_FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-dev-shm-usage',
]

/** The path of Chromium. */
export const chromium = ['chromium', 'chromium-browser', 'google-chrome'].flatMap((name) => {
  try {
    return execFileSync('which', [name], { stdio: 'pipe', encoding: 'utf8' }).trim()
  } catch {
    return []
  }
})[0]

if (!chromium && !process.env.CI) console.warn('\nNO CHROMIUM HERE: the tests in a browser are left out.\n')
