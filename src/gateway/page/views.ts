// The parts of the page, rebuilt from each status. Texts are inserted as text nodes, so that no name can become
// markup.

import type { LimiterStats } from 'llmiter'
import type { GatewayStatus, GatewayTargetStatus } from '../admin.ts'
import { element } from '../../pages/element.ts'
import { count, money, period, time } from './words.ts'

export interface Sample {
  /** Time in ms on the page's own clock. */
  readonly at: number
  readonly status: GatewayStatus
}

const OVER_MS = 60_000

const sum = (all: readonly number[]): number => all.reduce((total, one) => total + one, 0)
const triesOf = ({ counts }: GatewayStatus, of: (status: number) => boolean): number =>
  sum(counts.tries.filter(({ status }) => of(status)).map((one) => one.count))
const answered = (status: GatewayStatus): number => triesOf(status, (code) => code >= 200 && code < 300)
const section = (title: string, ...inside: (Node | string)[]): HTMLElement =>
  element('section', '', element('h2', '', title), ...inside)

function tile(title: string, value: string, more = ''): HTMLElement {
  const made = element('div', 'tile', element('span', 'value', value), element('span', 'title', title))
  if (more) made.append(element('span', 'more', more))
  return made
}

export function countsView(samples: readonly Sample[]): HTMLElement {
  const { at, status } = samples.at(-1)!
  const before = samples.find((sample) => at - sample.at <= OVER_MS)!
  const minutes = (at - before.at) / 60_000
  const pace = minutes > 0 ? (answered(status) - answered(before.status)) / minutes : 0
  const refused = Object.entries(status.counts.refused)
  const tiles = element(
    'div',
    'tiles',
    tile('wait', count(status.waiting)),
    tile('run', count(Math.max(0, status.inHand - status.waiting))),
    tile('answered', count(answered(status)), `${count(Math.round(pace))} a minute`),
    tile(
      'refused by providers',
      count(triesOf(status, (code) => code === 429 || code === 529)),
      'each waits, or goes elsewhere',
    ),
    tile(
      'failed',
      count(triesOf(status, (code) => code === 0 || (code >= 400 && code !== 429 && code !== 529))),
    ),
    tile(
      'refused by the gateway',
      count(sum(refused.map(([, n]) => n))),
      refused.map(([code, n]) => `${code} ${n}`).join(', '),
    ),
    tile(
      'spent',
      money(sum(status.counts.tokens.map(({ usd }) => usd))),
      `${count(sum(status.counts.tokens.map(({ input, output }) => input + output)))} tokens`,
    ),
  )
  return section('Calls', tiles, waitingLine(samples))
}

const SVG = 'http://www.w3.org/2000/svg'
const [WIDTH, HEIGHT] = [600, 60]

/** The chart of waiting calls in the last two minutes. */
function waitingLine(samples: readonly Sample[]): HTMLElement {
  const most = Math.max(1, ...samples.map(({ status }) => status.waiting))
  const points = samples.map(({ status }, i) => {
    const x = WIDTH - 5 * (samples.length - 1 - i)
    return `${x},${HEIGHT - (HEIGHT - 2) * (status.waiting / most)}`
  })
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', `calls that wait, over the last two minutes; at most ${most}`)
  const line = document.createElementNS(SVG, 'polyline')
  line.setAttribute('points', points.join(' '))
  svg.append(line)
  const words = `calls that wait, over the last two minutes; at most ${count(Math.max(...samples.map(({ status }) => status.waiting)))}`
  return element('figure', '', svg, element('figcaption', '', words))
}

export function targetsView({ targets, counts }: GatewayStatus): HTMLElement {
  return section('Targets', ...targets.map((target) => targetCard(target, counts)))
}

function targetCard(
  { name, protocol, states, limiters }: GatewayTargetStatus,
  counts: GatewayStatus['counts'],
): HTMLElement {
  const tries = counts.tries.filter(({ target }) => target === name)
  const tokens = counts.tokens.find(({ target }) => target === name)
  const facts = [
    ...tries.map(({ status, count: n }) => `${status === 0 ? 'no whole answer' : status}: ${count(n)}`),
    ...(tokens ? [`${count(tokens.input)} tokens in, ${count(tokens.output)} out`] : []),
    ...(tokens && tokens.usd > 0 ? [money(tokens.usd)] : []),
  ]
  return element(
    'article',
    '',
    element('h3', '', name, ' ', element('span', 'protocol', protocol), ' ', ...badges(states)),
    element('p', 'facts', facts.join(' · ') || 'no call yet'),
    ...limiters.map(limiterRow),
  )
}

/** Target states with their descriptions. If a target is in several queues, the worst state comes first. */
const ORDER = ['dead', 'broken', 'stopped', 'paused', 'spent', 'gated', 'probing', 'full', 'ready'] as const
const MEANS: Record<(typeof ORDER)[number], string> = {
  dead: 'its key is not accepted',
  broken: 'it fails: the circuit breaker is open',
  stopped: 'stopped',
  paused: 'paused',
  spent: 'its quota is used up',
  gated: 'it refuses',
  probing: 'one call tries',
  full: 'at its limit',
  ready: 'ready',
}

function badges(states: GatewayTargetStatus['states']): HTMLElement[] {
  const worst = ORDER.find((one) => states.some(({ state }) => state === one)) ?? 'ready'
  const until = states.find(({ state }) => state === worst)?.until
  const rest = until === undefined ? 0 : until - Date.now()
  return [element('span', `badge ${worst}`, MEANS[worst] + (rest > 0 ? `, for ${time(rest)}` : ''))]
}

function limiterRow(stats: LimiterStats): HTMLElement {
  const { name, inFlight, limits, boundBy, lastRefusal, waitMs } = stats
  const facts = [
    `${count(inFlight)} in flight`,
    ...limits.map(
      ({ of, available, amount, learned, perMs }) =>
        `${count(Math.max(0, Math.floor(available)))} ${of} at once, of ${count(learned ?? amount)} ${period(perMs)}${learned === undefined ? '' : ' (learned)'}`,
    ),
    ...(waitMs.p95 >= 1 ? [`95 % waited less than ${time(waitMs.p95)}`] : []),
  ]
  const made = element('div', 'limiter', element('h4', '', name), element('p', 'facts', facts.join(' · ')))
  const reason = reasonOf(stats)
  if (reason) made.append(element('p', 'reason', reason))
  if (boundBy.length > 0)
    made.append(
      element(
        'p',
        'facts',
        `last minute: ${boundBy.map((one) => `${Math.round(100 * one.share)} % ${kindOf(one)}`).join(', ')}`,
      ),
    )
  if (lastRefusal)
    made.append(element('p', 'facts', `last refusal ${time(lastRefusal.agoMs)} ago: ${lastRefusal.reason}`))
  return made
}

type Reason = LimiterStats['boundBy'][number]

const kindOf = ({ kind, of }: Pick<Reason, 'kind' | 'of'>): string =>
  kind === 'limit' ? `limit of ${of}` : kind

const REASONS: Record<Reason['kind'], (why: Omit<Reason, 'share'>) => string> = {
  limit: ({ of, amount = 0, perMs = 0, learned }) =>
    `Calls wait for the limit of ${count(learned ?? amount)} ${of} ${period(perMs)}.`,
  concurrency: ({ amount = 0 }) => `Calls wait: ${count(amount)} are in flight, as many as may.`,
  gate: ({ provider, reopensInMs }) =>
    `Calls wait, since the provider refused${provider ? ` (${provider})` : ''}${reopensInMs === undefined ? '' : `; one call tries in ${time(reopensInMs)}`}.`,
  latency: () => 'Calls wait, since the provider is slow.',
  pause: () => 'Calls wait: the limiter is paused.',
  retry: () => 'A call that failed waits for its next try.',
  store: () => 'Calls wait for a share of the limit from the store.',
}

const reasonOf = ({ why }: LimiterStats): string | undefined => why && REASONS[why.kind](why)

export function budgetsView({ budgets }: GatewayStatus): HTMLElement {
  if (budgets.length === 0) return section('Budgets', element('p', 'facts', 'none'))
  const rows = budgets.flatMap(({ name, key, keyName, resetsAt, amounts }) =>
    amounts.map(({ of, used, reserved, limit }) => {
      const show = (amount: number) => (of === 'usd' ? money(amount) : count(amount))
      const title = [name, key, keyName === undefined ? undefined : `key ${keyName}`]
        .filter(Boolean)
        .join(' · ')
      const words =
        `${show(used)} of ${show(limit)}${of === 'usd' ? '' : ` ${of}`} used` +
        `${reserved > 0 ? `, ${show(reserved)} reserved` : ''} · anew in ${time(Math.max(0, resetsAt - Date.now()))}`
      return element(
        'div',
        'budget',
        element('h3', '', title),
        bar(used, reserved, limit),
        element('p', 'facts', words),
      )
    }),
  )
  return section('Budgets', ...rows)
}

function bar(used: number, reserved: number, limit: number): HTMLElement {
  const share = (amount: number) => Math.min(100, (100 * amount) / (limit || 1))
  const made = element('div', share(used + reserved) >= 90 ? 'bar high' : 'bar')
  made.setAttribute('role', 'meter')
  made.setAttribute('aria-valuemin', '0')
  made.setAttribute('aria-valuemax', String(limit))
  made.setAttribute('aria-valuenow', String(Math.min(limit, used + reserved)))
  made.setAttribute('aria-label', 'used and reserved')
  const part = (kind: string, amount: number) => {
    const piece = element('span', kind)
    piece.style.width = `${share(amount)}%`
    return piece
  }
  made.append(part('used', used), part('reserved', reserved))
  return made
}
