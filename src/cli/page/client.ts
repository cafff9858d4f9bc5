// The script of the page: keeps the state (which limiter, which lines, which part of the time) and handles the
// controls. The state is also in the URL, so that a link shows the same view.

import { LINES, ALL, span, TOKEN_LINES } from './labels.ts'
import { type Order, orderOf, orderWords } from './limiter-table.ts'
import type { PageData } from './page.ts'
import { limitersOf, RunView } from './run-view.ts'
import { spanOf } from './columns.ts'

const byId = (id: string) => document.getElementById(id)!
const data = JSON.parse(byId('data').textContent!) as PageData
const limiter = byId('limiter') as HTMLSelectElement
const unpacked = data.runs.map(limitersOf)
const spans = unpacked.map((limiters) => spanOf(limiters) ?? { from: 0, to: 1 })
/** All runs are shown from their start, on one time scale. */
const length = Math.max(...spans.map(({ from, to }) => to - from))
const LEAST = Math.min(3, length)
const ALL_LINES = [...LINES, ...TOKEN_LINES]

interface Part {
  from: number
  to: number
}

const whole: Part = { from: 0, to: length }
const atFirst = { limiter: limiter.value, lines: lettersOf(new Set(data.lines)), sort: '-waiting' }
let shown = new Set(data.lines)
let part = whole
let before: Part[] = []
let order: Order = orderOf(null)

const views = data.runs.map((run, i) => {
  const view = new RunView(i, run, unpacked[i]!, {
    start: spans[i]!.from,
    compared: data.runs.length > 1,
    ...{ zone: data.zone, made: data.made },
    onZoom: (from, to) => zoom({ from, to }),
    onTouch: () => void before.push(part),
    onTouched: (from, to) => move({ from, to }),
    onOrder: (to) => {
      order = to
      show()
    },
    onSelect: (name) => {
      // Selecting the selected limiter again shows all of them.
      limiter.value = limiter.value === name ? ALL : name
      show()
    },
    say,
  })
  view.plot.addEventListener('keydown', (event) => onKey(event, view))
  return view
})

function say(words: string): void {
  byId('said').textContent = words
}

function show(): void {
  const name = limiter.value || ALL
  const buckets = views.map((view) => view.look(name, part.from, part.to))
  const tops = views.map((view) => view.tops(shown))
  // Runs next to each other share their scales.
  const keys = new Set(tops.flatMap((panels) => [...panels.keys()]))
  const top = (key: string, side: 'left' | 'right') =>
    Math.max(...tops.map((panels) => panels.get(key)?.[side] ?? 0))
  const shared = new Map([...keys].map((key) => [key, { left: top(key, 'left'), right: top(key, 'right') }]))
  for (const view of views) {
    view.draw(shown, shared)
    view.list(order, name)
  }
  const size = Math.max(...buckets.map(({ size }) => size))
  byId('scale').textContent = scaleWords(size)
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
  for (const button of document.querySelectorAll<HTMLButtonElement>('[data-line]'))
    button.setAttribute('aria-pressed', String(shown.has(button.dataset['line']!)))
  history.replaceState(null, '', `#${hash()}`)
}

function scaleWords(size: number): string {
  const finest = Math.max(...unpacked.flatMap((limiters) => limiters.map((columns) => columns.size)))
  const means =
    `A point is ${span(size)}: lines are means, ` +
    'but the overflow and waits are the highest second of each point.'
  if (size === 1)
    return (
      'A point is a second. Rates and limits of a minute are shown as a second of them; ' +
      'the overflow and free tokens have the axis on the right.'
    )
  if (size > finest) return `${means} Zoom in to see ${finest === 1 ? 'the seconds' : span(finest)}.`
  return `${means} The log is too long for a page of seconds: draw a part of it with --from and --to.`
}

function lettersOf(names: ReadonlySet<string>): string {
  return ALL_LINES.filter(({ name }) => names.has(name))
    .map(({ letter }) => letter)
    .join('')
}

/** The state as far as it differs from the initial one. */
function hash(): URLSearchParams {
  const now = {
    ...{ limiter: limiter.value, lines: lettersOf(shown), sort: orderWords(order) },
    ...(part !== whole && { from: String(Math.round(part.from)), to: String(Math.round(part.to)) }),
  }
  const first: Record<string, string> = { ...atFirst, from: '0', to: String(Math.round(length)) }
  return new URLSearchParams(Object.entries(now).filter(([key, value]) => value !== first[key]))
}

function readHash(): void {
  const said = new URLSearchParams(location.hash.slice(1))
  const name = said.get('limiter') ?? atFirst.limiter
  if ([...limiter.options].some(({ value }) => value === name)) limiter.value = name
  const letters = said.get('lines') ?? atFirst.lines
  shown = new Set(ALL_LINES.filter(({ letter }) => letters.includes(letter)).map(({ name }) => name))
  order = orderOf(said.get('sort'))
  const [from, to] = [said.get('from'), said.get('to')].map((text) => Number(text ?? -1))
  part = whole
  if (from! >= 0 && to! > from!) move({ from: from!, to: to! })
  else show()
}

/** Shows this part, or the nearest part with data. */
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

/** Zooms around a time, which keeps its position, or around the middle. */
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
    show()
  })
}
limiter.addEventListener('change', show)
addEventListener('hashchange', readHash)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const view of views) view.redraw()
})
let wide = innerWidth
function fit(): void {
  for (const view of views) view.resize()
  show()
}
addEventListener('resize', () => {
  // Phones fire resize when the address bar slides away, so only a changed width counts.
  if (wide === innerWidth) return
  wide = innerWidth
  fit()
})
// The print layout has its own width.
matchMedia('print').addEventListener('change', fit)
readHash()
