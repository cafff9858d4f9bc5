// A coloured strip below the time axis that shows what calls waited for, with a legend.

import { element } from '../../pages/element.ts'
import type { Cause } from './causes.ts'
import { type Buckets, causesIn, closures } from './buckets.ts'

/** In pixels. A narrower section has no text. */
const ROOM_FOR_WORDS = 70
/** The minimum width of a section, so that it is always visible. */
const LEAST_WIDTH = 2

export class Strip {
  readonly #strip = element('div', 'strip')
  #legend = element('ul', 'causes')
  readonly #causes: readonly Cause[]

  constructor(parent: HTMLElement, causes: readonly Cause[]) {
    this.#causes = causes
    this.#strip.setAttribute('role', 'img')
    parent.append(this.#strip, this.#legend)
  }

  /**
   * Draws the part from `from` to `to`, in the unit of the buckets, with these distances from both edges of the
   * panels.
   */
  draw(buckets: Buckets, from: number, to: number, { left, right }: { left: number; right: number }): void {
    this.#strip.style.margin = `0 ${right}px 0 ${left}px`
    const width = this.#strip.clientWidth
    const held = new Map<Cause, number>()
    const stretches = causesIn(buckets).flatMap((stretch) => {
      const [start, end] = [Math.max(stretch.from, from), Math.min(stretch.to, to)]
      if (end <= start) return []
      const cause = this.#causes[stretch.cause]!
      held.set(cause, (held.get(cause) ?? 0) + end - start)
      return [{ cause, start, end }]
    })
    this.#strip.replaceChildren(
      ...stretches.map(({ cause, start, end }) => {
        const px = Math.max(LEAST_WIDTH, ((end - start) / (to - from)) * width)
        const part = element('span', '', px < ROOM_FOR_WORDS ? '' : cause.label)
        part.title = cause.text
        part.dataset['cause'] = cause.label
        part.style.left = `${(100 * (start - from)) / (to - from)}%`
        part.style.width = `${px}px`
        part.style.setProperty('--color', `var(--${cause.colour})`)
        return part
      }),
    )
    this.#explain(
      [...held].sort(([, a], [, b]) => b - a),
      buckets,
    )
  }

  #explain(held: [Cause, number][], buckets: Buckets): void {
    const all = held.reduce((sum, [, seconds]) => sum + seconds, 0)
    const shares = held.map(([{ label, colour }, seconds]) => ({
      colour,
      words: `${label} ${Math.round((100 * seconds) / all)} %`,
    }))
    const waited = shares.map(({ words }) => words).join(', ')
    this.#strip.setAttribute('aria-label', `What calls waited for: ${waited || unexplained(buckets)}`)
    const shut = closures(buckets)
    const bands = [
      ...(shut.some(({ closed }) => closed) ? [{ colour: 'closed', words: 'band: gate closed' }] : []),
      ...(shut.some(({ closed }) => !closed) ? [{ colour: 'probing', words: 'band: gate probing' }] : []),
    ]
    const heading = element('li', '', shares.length > 0 ? 'Waited for:' : unexplained(buckets))
    const explained = legend([...shares, ...bands])
    explained.prepend(heading)
    this.#legend.replaceWith(explained)
    this.#legend = explained
  }
}

/** A client without a limiter, and a log of an earlier version, have no causes. */
const unexplained = ({ waiting }: Buckets) =>
  waiting.some((calls) => calls > 0)
    ? 'The log does not say what calls waited for.'
    : 'No call waited for anything.'

export function legend(keys: readonly { colour: string; words: string }[]): HTMLUListElement {
  return element(
    'ul',
    'causes',
    ...keys.map(({ colour, words }) => {
      const item = element('li', 'key', words)
      item.style.setProperty('--color', `var(--${colour})`)
      return item
    }),
  )
}
