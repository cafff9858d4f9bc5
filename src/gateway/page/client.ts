// Runs in the browser: requests the status each second and shows it.

import type { GatewayStatus } from '../admin.ts'
import { budgetsView, countsView, type Sample, targetsView } from './views.ts'
import { element } from '../../pages/element.ts'

const EVERY_MS = 1000
/** For the rates and the chart: two minutes. */
const MOST_SAMPLES = 120
const KEY = 'llmiter admin key'

const main = document.querySelector('main')!
const state = element('p', 'state', 'is asked …')
state.setAttribute('role', 'status')
const form = keyForm()
const views = element('div', 'views')
const heading = element('header', '', element('h1', '', 'llmiter gateway'), state)
main.append(heading, form, views)

const samples: Sample[] = []

function keyForm(): HTMLFormElement {
  const made = element('form', 'key')
  const input = element('input')
  input.type = 'password'
  input.autocomplete = 'off'
  input.required = true
  made.append(element('label', '', 'Admin key ', input), element('button', '', 'Show'))
  made.hidden = true
  made.addEventListener('submit', (event) => {
    event.preventDefault()
    sessionStorage.setItem(KEY, input.value)
    input.value = ''
    void look()
  })
  return made
}

function tell(words: string, kind: 'live' | 'bad' | ''): void {
  state.textContent = words
  state.className = `state ${kind}`
}

async function look(): Promise<void> {
  const key = sessionStorage.getItem(KEY)
  const answer = await fetch('/-/status', {
    cache: 'no-store',
    headers: key === null ? {} : { authorization: `Bearer ${key}` },
  })
  const body = (await answer.json()) as GatewayStatus & { error?: { message: string } }
  form.hidden = answer.status !== 401
  if (answer.ok) show(body)
  else {
    views.replaceChildren()
    tell(body.error?.message ?? `answers with ${answer.status}`, 'bad')
  }
}

function show(status: GatewayStatus): void {
  samples.push({ at: performance.now(), status })
  if (samples.length > MOST_SAMPLES) samples.shift()
  tell(status.draining ? 'takes no new calls: it is shutting down' : 'live', status.draining ? 'bad' : 'live')
  views.replaceChildren(countsView(samples), targetsView(status), budgetsView(status))
}

async function watch(): Promise<void> {
  // Without the key, each answer would be a refusal.
  if (!document.hidden && form.hidden) {
    try {
      await look()
    } catch {
      tell('does not answer', 'bad')
    }
  }
  setTimeout(() => void watch(), EVERY_MS)
}

void watch()
