/**
 * A small chart of traffic over time: accepted calls per second, the provider's limit, and a tick for each refusal
 * below. All pictures of the law use this form.
 */
import { FONT, type PlotArea, path, Plot, round, type Step, text } from '../src/cli/page/plot.ts'

/** Space below the frame for the ticks of refusals. */
const REFUSED_GAP = 4
const REFUSED_HEIGHT = 7

/** Seconds on the x axis, calls per second on the y axis. */
export class Chart {
  readonly body: string[] = []
  readonly #frame: PlotArea
  readonly #plot: Plot

  constructor(frame: PlotArea) {
    this.#frame = frame
    this.#plot = new Plot(frame)
  }

  x(s: number): number {
    return this.#plot.x(s)
  }

  y(perSecond: number): number {
    return this.#plot.y(perSecond)
  }

  /** Draws the rate per second, counted in bins, as a filled step line. */
  rate(timesMs: readonly number[], binS: number): void {
    const { from, to } = this.#frame
    const bins: Step[] = Array.from({ length: Math.round((to - from) / binS) }, (_, i) => ({
      from: from + i * binS,
      to: from + (i + 1) * binS,
      value: 0,
    }))
    for (const at of timesMs) {
      const bin = bins[Math.floor((at / 1000 - from) / binS)]
      if (bin) bin.value += 1 / binS
    }
    this.body.push(path('area', this.#plot.under(bins)), path('rate', this.#plot.steps(bins)))
  }

  /** Draws the provider's limit: a rate from each of these times on. */
  allowed(steps: readonly { fromS: number; perSecond: number }[]): void {
    const stretches = steps.map(({ fromS, perSecond }, i) => {
      return { from: fromS, to: steps[i + 1]?.fromS ?? this.#frame.to, value: perSecond }
    })
    this.body.push(path('allowed', this.#plot.steps(stretches)))
  }

  refusals(timesMs: readonly number[]): void {
    const top = this.#plot.base + REFUSED_GAP
    const { from, to } = this.#frame
    const seen = new Set(
      timesMs.filter((at) => at >= from * 1000 && at < to * 1000).map((at) => this.x(at / 1000)),
    )
    if (seen.size > 0) {
      this.body.push(path('refused', [...seen].map((x) => `M${x} ${top}v${REFUSED_HEIGHT}`).join('')))
    }
  }

  /** Shades an interval. */
  shade(fromS: number, toS: number): void {
    this.body.push(path('shade', this.#plot.band(fromS, toS)))
  }

  title(words: string, beside = ''): void {
    const { x, y, width } = this.#frame
    this.body.push(text(x, y - 7, words, 'strong'))
    if (beside) this.body.push(text(round(x + width), y - 7, beside, 'end'))
  }

  /** Ticks with labels on both axes. In small multiples, only the outer charts have labels. */
  axes(seconds: Record<number, string>, rates: Record<number, string>): void {
    const { x, width } = this.#frame
    const { base } = this.#plot
    const ticks = Object.keys(seconds).map((s) => `M${this.x(Number(s))} ${base}v3`)
    this.body.push(path('axis', `M${x} ${base}h${width}${ticks.join('')}`))
    const under = base + REFUSED_GAP + REFUSED_HEIGHT + 13
    for (const [s, words] of Object.entries(seconds)) {
      if (words) this.body.push(text(this.x(Number(s)), under, words, 'middle'))
    }
    for (const [rate, words] of Object.entries(rates)) {
      if (words) this.body.push(text(x - 6, this.y(Number(rate)) + 4, words, 'end'))
    }
  }

  note(s: number, perSecond: number, words: string, kind = ''): void {
    this.body.push(text(this.x(s), round(this.y(perSecond)), words, kind))
  }
}

export const style = `
text{font:12px ${FONT};fill:#59636e}
.strong{font-weight:600}.middle{text-anchor:middle}.end{text-anchor:end}
.blue{fill:#0969da}.red{fill:#d1242f}.green{fill:#1a7f37}
path{fill:none}
.area{fill:#218bff;fill-opacity:.16}
.rate{stroke:#218bff;stroke-width:1.2}
.allowed{stroke:#1a7f37;stroke-width:1.4;stroke-dasharray:5 3}
.refused{stroke:#d1242f;stroke-width:1.2}
.shade{fill:#8c959f;fill-opacity:.15}
.dot{stroke:#218bff;stroke-width:1.5}
.axis{stroke:#8c959f;stroke-opacity:.6}
@media (prefers-color-scheme:dark){text{fill:#9198a1}.blue{fill:#4493f8}.red{fill:#f85149}.green{fill:#3fb950}.allowed{stroke:#3fb950}.refused{stroke:#f85149}}
`
