// The program of the page: what is shown (which limiter, which lines, which part of the time), and what the
// reader does to change it.

import { RunView } from './run-view.ts'
import type { PageData } from './page.ts'
import { spanOf } from './series.ts'
import { ALL, span } from './labels.ts'

const byId = (id: string) => document.getElementById(id)!
const data = JSON.parse(byId('data').textContent!) as PageData
const limiter = byId('limiter') as HTMLSelectElement
const spans = data.runs.map(({ limiters }) => spanOf(limiters) ?? { from: 0, to: 1 })
/** All runs are shown from their start on, on one scale of time. */
const length = Math.max(...spans.map(({ from, to }) => to - from))
const LEAST = Math.min(3, length)

interface Part {
  from: number
  to: number
}

const whole: Part = { from: 0, to: length }
const shown = new Set(data.lines)
let part = whole
let before: Part[] = []

const views = data.runs.map((run, i) => {
  const view = new RunView(document.querySelectorAll<HTMLElement>('.run')[i]!, run, {
    start: spans[i]!.from,
    compared: data.runs.length > 1,
    onZoom: (from, to) => zoom({ from, to }),
    say,
  })
  view.plot.addEventListener('keydown', (event) => onKey(event, view))
  return view
})

function say(words: string): void {
  byId('said').textContent = words
}

function show(): void {
  const buckets = views.map((view) => view.look(limiter.value || ALL, part.from, part.to))
  const tops = views.map((view) => view.tops(shown))
  const top = (panel: number, side: 'left' | 'right') =>
    Math.max(...tops.map((panels) => panels[panel]?.[side] ?? 0))
  const shared = [0, 1].map((panel) => ({ left: top(panel, 'left'), right: top(panel, 'right') }))
  for (const view of views) view.draw(shown, shared)

  const size = Math.max(...buckets.map(({ size }) => size))
  byId('scale').textContent =
    size === 1
      ? 'A point is a second. Rates and limits of a minute are shown as a second of them; the overflow and free tokens have the axis on the right.'
      : `A point is ${span(size)}: lines are means, but refusals and the overflow are the highest second of each point. Zoom in to see the seconds.`
  const all = part.from === 0 && part.to === length
  const useless: Record<string, boolean> = {
    back: before.length === 0,
    in: part.to - part.from <= LEAST,
    left: part.from === 0,
    right: part.to === length,
    out: all,
    all,
  }
  for (const button of document.querySelectorAll<HTMLButtonElement>('[data-zoom]'))
    button.disabled = useless[button.dataset['zoom']!]!
}

/** Shows this part, or as near to it as there is something to show. */
function move({ from, to }: Part): void {
  const wide = Math.min(Math.max(to - from, LEAST), length)
  const start = Math.min(Math.max(0, (from + to - wide) / 2), length - wide)
  part = { from: start, to: start + wide }
  show()
  say(`Shown: ${span(part.from)} to ${span(part.to)} of ${span(length)}.`)
}

function zoom(to: Part): void {
  before.push(part)
  move(to)
}

const ACTIONS: Record<string, (at?: number) => void> = {
  left: () => pan(-1),
  right: () => pan(1),
  in: (at) => scale(0.5, at),
  out: (at) => scale(2, at),
  back: () => move(before.pop() ?? whole),
  all: () => {
    before = []
    move(whole)
  },
}

const KEYS: Record<string, string> = {
  ...{ ArrowLeft: 'left', ArrowRight: 'right', '+': 'in', '=': 'in', '-': 'out', '−': 'out', _: 'out' },
  ...{ Backspace: 'back', '0': 'all', Escape: 'all' },
}

function pan(direction: number): void {
  const by = ((part.to - part.from) / 4) * direction
  move({ from: part.from + by, to: part.to + by })
}

/** Around a moment, which keeps its place; else around the middle. */
function scale(factor: number, at = (part.from + part.to) / 2): void {
  zoom({ from: at - (at - part.from) * factor, to: at + (part.to - at) * factor })
}

function onKey(event: KeyboardEvent, view: RunView): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const reads = event.shiftKey && { ArrowLeft: -1, ArrowRight: 1 }[event.key]
  const action = KEYS[event.key]
  if (reads) view.read(reads)
  else if (action) ACTIONS[action]!(view.at)
  else return
  event.preventDefault()
}

for (const button of document.querySelectorAll<HTMLButtonElement>('[data-zoom]')) {
  button.addEventListener('click', () => ACTIONS[button.dataset['zoom']!]!())
}
for (const button of document.querySelectorAll<HTMLButtonElement>('[data-line]')) {
  const name = button.dataset['line']!
  button.addEventListener('click', () => {
    if (!shown.delete(name)) shown.add(name)
    button.setAttribute('aria-pressed', String(shown.has(name)))
    show()
  })
}
limiter.addEventListener('change', show)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const view of views) view.redraw()
})
let wide = innerWidth
addEventListener('resize', () => {
  // Phones resize when their address bar slides away: only the width matters.
  if (wide === innerWidth) return
  wide = innerWidth
  for (const view of views) view.resize()
  show()
})
show()
