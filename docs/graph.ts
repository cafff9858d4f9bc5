/**
 * Draws docs/graph.svg, the picture of a log in the README.
 *
 *     node docs/graph.ts
 *
 * It shows a run of the real limiter against the token bucket of `llmiter/testing`, on a virtual clock, so every
 * run writes the same file. A job of 500 calls, a chat next to it, and a provider that is overloaded for a while.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { graphSvg, seriesOf } from '../src/cli/page/index.ts'
import { BucketRateLimiter } from '../src/index.ts'
import { logTo } from '../src/telemetry/log.ts'
import { type LogRecord, parseRecord } from '../src/telemetry/log-record.ts'
import { lognormal, seededRandom, TokenBucketProvider, VirtualClock } from '../src/testing/index.ts'

const LIMITS = { requestsPerMinute: 300, tokensPerMinute: 400_000 }
const JOB = { atS: 5, calls: 500 }
const CHAT = { everyS: 2, untilS: 150 }
/** The interval in which the provider accepts no calls. */
const OUTAGE = { fromS: 45, toS: 60 }

const dir = mkdtempSync(join(tmpdir(), 'llmiter-docs-'))
try {
  writeFileSync(
    new URL('graph.svg', import.meta.url),
    graphSvg([{ title: 'gpt-5', series: seriesOf(await run()) }]),
  )
} finally {
  rmSync(dir, { recursive: true })
}

async function run(): Promise<LogRecord[]> {
  const clock = new VirtualClock()
  const random = seededRandom(7)
  const provider = new TokenBucketProvider({ ...LIMITS, capacityMs: 60_000 })
  const limiter = new BucketRateLimiter({ name: 'gpt-5', ...LIMITS, clock })
  const log = logTo(limiter, { dir })
  const calls: Promise<unknown>[] = []

  const call = (inputTokens: number, priority = 0) => {
    const outputTokens = Math.round(inputTokens * random())
    const work = async () => {
      const now = clock.now() / 1000
      const down = now >= OUTAGE.fromS && now < OUTAGE.toS
      const answer = down
        ? undefined
        : provider.ask(clock.now(), { inputTokens, maxOutputTokens: outputTokens })
      const admitted = answer?.kind === 'admitted'
      await clock.sleep(admitted ? answerMs() : 150)
      if (!admitted) throw Object.assign(new Error('overloaded'), { status: down ? 503 : 429, headers: {} })
      answer.finish(clock.now(), { inputTokens, outputTokens })
      return { usage: { input_tokens: inputTokens, output_tokens: outputTokens } }
    }
    calls.push(limiter.run(work, { priority, cost: { tokens: 2 * inputTokens } }))
  }
  const answerMs = lognormal({ median: 1200, sigma: 0.4, seed: 7 })

  for (let second = 0; second <= CHAT.untilS; second++) {
    await clock.advanceTo(second * 1000)
    if (second === JOB.atS) for (let i = 0; i < JOB.calls; i++) call(Math.round(400 + 400 * random()))
    if (second % CHAT.everyS === 0) call(100, 1)
  }
  await clock.runAll()
  await Promise.all(calls)
  log.stop()
  const lines = readFileSync(log.file!, 'utf8').trimEnd().split('\n')
  return lines.map((line) => parseRecord(line)!)
}
