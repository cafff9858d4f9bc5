/**
 * Draws docs/smoothing.svg, the picture at the top of the README: the calls that a program makes, and the calls
 * that are sent.
 *
 *     node docs/smoothing.ts
 *
 * It shows a real run: a program makes calls in bursts, through the real limiter, to the token bucket of
 * `llmiter/testing`, on a virtual clock. Every run writes the same file. One brick is one call in both halves, so
 * both have the same scale.
 */
import { BucketRateLimiter } from '../src/index.ts'
import { TokenBucketProvider, VirtualClock } from '../src/testing/index.ts'
import { FONT, path, round, text } from '../src/cli/page/plot.ts'
import { save } from './svg.ts'

const END_S = 70
const BURSTS = [
  { atS: 0, calls: 40 },
  { atS: 25, calls: 25 },
  { atS: 45, calls: 30 },
  { atS: 65, calls: 4 },
]
/** The interval in which the provider is overloaded. It answers late, and says when to come back. */
const OUTAGE = { fromS: 29.8, toS: 37.4, answerMs: 2000 }
const ANSWER_MS = 800

interface Sent {
  atS: number
  refused: boolean
  /** Whether it had been refused before. */
  again: boolean
}

interface Traffic {
  sent: Sent[]
  /** The length of the queue after each change. */
  line: { atS: number; waiting: number }[]
  closed: { fromS: number; toS: number }
}

async function run(): Promise<Traffic> {
  const clock = new VirtualClock()
  const nowS = () => clock.now() / 1000
  const provider = new TokenBucketProvider({ requestsPerMinute: 120, capacityMs: 5000 })
  const limiter = new BucketRateLimiter({ name: 'model', requestsPerMinute: 120, clock })
  const sent: Sent[] = []
  const line = [{ atS: 0, waiting: 0 }]
  const closed = { fromS: NaN, toS: NaN }
  const answers: Promise<void>[] = []

  limiter.on('gate', ({ state }) => {
    if (state === 'closed') closed.fromS = nowS()
    if (state === 'probing') closed.toS = nowS()
  })

  const call = () => {
    let tries = 0
    return limiter.run(async () => {
      const down = nowS() >= OUTAGE.fromS && nowS() < OUTAGE.toS
      const answer = down ? undefined : provider.ask(clock.now())
      const admitted = answer?.kind === 'admitted'
      sent.push({ atS: nowS(), refused: !admitted, again: tries++ > 0 })
      await clock.sleep(admitted ? ANSWER_MS : OUTAGE.answerMs)
      if (admitted) return answer.finish(clock.now())
      const retryAfterS = Math.ceil(OUTAGE.toS - nowS())
      throw Object.assign(new Error('overloaded'), {
        status: down ? 503 : 429,
        headers: { 'retry-after': `${Math.max(1, retryAfterS)}` },
      })
    })
  }

  for (let tick = 0; tick <= END_S * 10; tick++) {
    await clock.advanceTo(tick * 100)
    const burst = BURSTS.find(({ atS }) => atS * 10 === tick)
    for (let i = 0; i < (burst?.calls ?? 0); i++) answers.push(call())
    await clock.advance(0)
    const { waiting } = limiter.stats()
    if (waiting !== line.at(-1)!.waiting) line.push({ atS: nowS(), waiting })
  }
  await Promise.all(answers)
  return { sent, line, closed }
}

// The scale: 1 s is 11 wide, and a call is 4 high.
const WIDTH = 800
const HEIGHT = 318
const ASKED_Y = 196
const LEFT_Y = 284
const BRICK = { width: 9, height: 3, pitch: 4 }
const x = (s: number) => round(16 + s * 11)

/** Bricks in columns of one second, each column upwards from its `y`, as path data. */
class Wall {
  readonly #heights = new Map<string, number>()
  readonly paths: Record<string, string> = {}

  lay(kind: string, atS: number, y: number): void {
    const second = Math.floor(atS)
    const height = this.#heights.get(`${y} ${second}`) ?? 0
    this.#heights.set(`${y} ${second}`, height + 1)
    const top = y - height * BRICK.pitch - BRICK.height / 2
    this.paths[kind] = `${this.paths[kind] ?? ''}M${x(second) + 1} ${round(top)}h${BRICK.width}`
  }
}

function bricks({ sent }: Traffic): string[] {
  const wall = new Wall()
  for (const { atS, calls } of BURSTS) for (let i = 0; i < calls; i++) wall.lay('asked', atS, ASKED_Y)
  for (const { atS, refused, again } of sent) {
    wall.lay(refused ? 'refused' : again ? 'again' : 'left', atS, LEFT_Y)
  }
  return Object.entries(wall.paths).map(([kind, d]) => path(`brick ${kind}`, d))
}

function line({ line }: Traffic): string[] {
  const steps = line
    .map(({ atS, waiting }) => `H${x(atS)}V${round(ASKED_Y - waiting * BRICK.pitch)}`)
    .join('')
  return [path('line', `M${x(0)} ${ASKED_Y}${steps}H${x(END_S)}z`)]
}

function gate({ closed }: Traffic): string[] {
  const [from, to] = [x(closed.fromS), x(closed.toS)]
  return [path('gate', `M${from} 28H${to}V${LEFT_Y}H${from}z`)]
}

function axis(): string[] {
  const ticks = Array.from({ length: END_S / 10 + 1 }, (_, i) => i * 10)
  const limitY = LEFT_Y - 2 * BRICK.pitch - 0.5
  return [
    path('limit', `M${x(0)} ${limitY}H${x(END_S)}`),
    path(
      'axis',
      `M${x(0)} ${LEFT_Y + 0.5}H${x(END_S)}${ticks.map((s) => `M${x(s)} ${LEFT_Y + 0.5}v5`).join('')}`,
    ),
    ...ticks.map((s) => text(x(s), LEFT_Y + 20, s === END_S ? `${s} s` : `${s}`, 'middle')),
  ]
}

function labels({ sent, closed }: Traffic): string[] {
  const refused = sent.filter((call) => call.refused)
  const middle = round((x(closed.fromS) + x(closed.toS)) / 2)
  const overBricks = LEFT_Y - 16
  return [
    ...BURSTS.map(({ atS, calls }, i) =>
      text(
        x(atS) + 1,
        ASKED_Y - calls * BRICK.pitch - 7,
        i ? `${calls}` : `${calls} calls at once`,
        'strong',
      ),
    ),
    text(x(10), ASKED_Y - 90, 'wait in line'),
    text(middle, 20, 'provider overloaded: gate closed', 'middle'),
    text(x(1) + 5, overBricks, 'leave at the limit, 120 a minute', 'blue'),
    text(x(closed.fromS) - 1, overBricks, `${refused.length} refused`, 'red end'),
    text(x(closed.toS) + 4, overBricks, 'go first', 'amber'),
    text(x(65) - 5, overBricks, 'a few: no wait', 'blue end'),
  ]
}

const style = `
text{font:13px ${FONT};fill:#6e7781}
.strong{font-weight:600}.middle{text-anchor:middle}.end{text-anchor:end}
.blue{fill:#0969da}.red{fill:#d1242f}.amber{fill:#9a6700}
path{fill:none}
.brick{stroke-width:${BRICK.height}}
.asked{stroke:#8c959f}.left{stroke:#218bff}.refused{stroke:#d1242f}.again{stroke:#bf8700}
.line{fill:#8c959f;fill-opacity:.16;stroke:#8c959f;stroke-width:.8}
.gate{fill:#8c959f;fill-opacity:.13}
.limit{stroke:#218bff;stroke-opacity:.45;stroke-dasharray:1 3}
.axis{stroke:#8c959f;stroke-opacity:.6}
@media (prefers-color-scheme:dark){text{fill:#848d97}.blue{fill:#388bfd}.red{fill:#f85149}.amber{fill:#bf8700}.refused{stroke:#f85149}}
`

const traffic = await run()
const body = [gate, line, bricks, axis, labels].flatMap((draw) => draw(traffic))
save('smoothing.svg', { width: WIDTH, height: HEIGHT, style, body })
