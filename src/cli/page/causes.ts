// Tells causes of waiting apart, with a name and a colour that stay the same however the wording in the log
// changes.

import type { WhyRecord } from '../../telemetry/log-record.ts'
import { span } from './labels.ts'

/** One cause of waiting in a run. */
export interface Cause {
  kind: string
  /** A short label that stays the same: 'output tokens a minute'. */
  label: string
  /** The last wording in the log: 'output tokens (10,000 a minute)'. */
  text: string
  /** The name of its colour in the style sheet. */
  colour: string
  of?: string
  perMs?: number
  amount?: number
  /** The limiter that holds the calls, if it is a parent. */
  limiter?: string
  /** Why the gate is closed. */
  refused?: string
}

const WINDOWS: Record<number, string> = {
  1000: 'a second',
  60_000: 'a minute',
  3_600_000: 'an hour',
  86_400_000: 'a day',
}

const windowOf = (ms: number) => WINDOWS[ms] ?? `in ${span(ms / 1000)}`

const LABELS: Record<string, string> = {
  concurrency: 'calls in flight',
  'gate/rate': 'gate: too many requests',
  'gate/overload': 'gate: provider overloaded',
  'gate/quota': 'gate: quota used up',
  latency: 'slow provider',
  pause: 'pause()',
  retry: 'retry after a failure',
  store: 'the store',
}

/** Matches the part of the wording that says how long calls will be held. */
const HOW_LONG = /, for [\d.,]+ \w+ more|; a call may ask again in [\d.,]+ \w+/

/** Limits get their own colours, in order of appearance. */
const LIMIT_COLOURS = 5

/** The distinct causes of a run. */
export class Causes {
  readonly #list: Cause[] = []
  readonly #places = new Map<string, number>()
  readonly #limits: string[] = []

  get list(): Cause[] {
    return this.#list.map((cause) => ({ ...cause, text: cause.text.replace(HOW_LONG, '') }))
  }

  /** The index of this cause in the list. */
  placeOf(why: WhyRecord): number {
    const { kind, of = '', perMs = '', limiter = '', refused = '', text } = why
    const known = kind !== 'limit' || of !== ''
    // A log of an earlier version contains only the wording.
    const key = known ? [kind, of, perMs, limiter, refused].join('/') : `${kind}/${text}`
    let place = this.#places.get(key)
    if (place === undefined) {
      place = this.#list.push({ ...this.#made(why), text: '' }) - 1
      this.#places.set(key, place)
    }
    this.#list[place]!.text = text
    return place
  }

  /** The colour for a limit of this name, both for its line and its cause. */
  colourOfLimit(label: string): string {
    if (!this.#limits.includes(label)) this.#limits.push(label)
    return `limit-${this.#limits.indexOf(label) % LIMIT_COLOURS}`
  }

  #made({ kind, text, of, perMs, amount, limiter, refused }: WhyRecord): Omit<Cause, 'text'> {
    const isLimit = kind === 'limit'
    const name = isLimit ? limitName(text, of, perMs) : nameOf(kind, refused)
    const label = limiter === undefined ? name : `${name} of '${limiter}'`
    return {
      ...{ kind, label },
      colour: isLimit ? this.colourOfLimit(label) : colourOf(kind, refused),
      ...(of !== undefined && { of }),
      ...(perMs !== undefined && { perMs }),
      ...(amount !== undefined && { amount }),
      ...(limiter !== undefined && { limiter }),
      ...(refused !== undefined && { refused }),
    }
  }
}

/** 'outputTokens' per minute becomes 'output tokens a minute'. */
export function limitName(text: string, of?: string, perMs?: number): string {
  const what = of?.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`) ?? text.split(' (')[0]!
  return perMs === undefined ? what : `${what} ${windowOf(perMs)}`
}

const nameOf = (kind: string, refused: string | undefined) =>
  LABELS[refused === undefined ? kind : `${kind}/${refused}`] ?? kind

const COLOURS = [
  'concurrency',
  'latency',
  'pause',
  'retry',
  'store',
  'gate-rate',
  'gate-overload',
  'gate-quota',
]

function colourOf(kind: string, refused: string | undefined): string {
  const name = refused === undefined ? kind : `${kind}-${refused}`
  return COLOURS.includes(name) ? name : 'gate-rate'
}
