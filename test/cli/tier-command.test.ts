// "What would a higher tier give?": the command that a page has ready plays the calls of its log against the limit that binds.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { logTo } from 'llmiter/log'
import { VirtualClock } from 'llmiter/testing'
import { seriesOf } from '../../src/cli/page/index.ts'
import { tierCommand } from '../../src/cli/tier-command.ts'
import { parseRecord } from '../../src/telemetry/log-record.ts'
import { type Cause, tell } from '../support/cause-logs.ts'
import { recordsIn, START } from '../support/records.ts'
import { tempDir } from '../support/temp.ts'
import { PLAIN, rows } from './simulate-harness.ts'

test('output tokens bind, though input tokens have a limit too', async () => {
  const dir = tempDir()
  const clock = new VirtualClock({ wall: START })
  const limiter = new BucketRateLimiter({
    ...{ name: 'gpt-5', clock, requestsPerMinute: 600 },
    ...{ inputTokensPerMinute: 1_000_000, outputTokensPerMinute: 6000 },
  })
  const { file, stop } = logTo(limiter, { dir })
  const cost = { inputTokens: 50, outputTokens: 100 }
  await Promise.all([
    clock.runAll(),
    ...Array.from({ length: 300 }, () => limiter.run(() => clock.sleep(100), { cost })),
  ])
  stop()
  const series = seriesOf(recordsIn(dir).map((record) => ({ ...record, t: START + record.t * 1000 })))
  const command = tierCommand(series, file)
  expect(command).toBe(
    `npx llmiter simulate --from ${file} --rpm 600,1200 --itpm 1000000,2000000 --otpm 6000,12000`,
  )
  const played = command!.replace('npx llmiter simulate ', '')
  const [now, higher] = await rows(`${played} ${PLAIN} --window 1s`)
  // 300 calls of 100 output tokens: 5 minutes at 6,000 a minute.
  // The simulated provider has room for one call a second, and is strict.
  expect(now!.timeMs / 60_000).toBeGreaterThan(4.9)
  expect(now!.timeMs / 60_000).toBeLessThan(1.15 * 5)
  expect(higher!.timeMs / 60_000).toBeCloseTo(2.5, 0)
})

/** What the page of each story says, without the words that all have. */
const TIERS: Record<Cause, string | undefined> = {
  requests: '--rpm 60,120',
  'output tokens': '--rpm 500,1000 --itpm 1000000,2000000 --otpm 10000,20000',
  // `simulate` knows no quota of a day: a minute's limit that was not the bottleneck would mislead.
  "day's quota": undefined,
  concurrency: '--provider concurrency --max-concurrent 2,4',
  parent: '--rpm 60,120',
  'gate by rate': '--rpm 120,240',
  'gate by overload': undefined,
  'gate by quota': '--rpm 120,240',
  retry: undefined,
  health: undefined,
  store: undefined,
  pause: undefined,
  'failing key': '--rpm 600,1200',
  'dead process': '--rpm 60,120',
}

test.each(Object.entries(TIERS))('the limits that would have to be higher: %s', async (cause, tiers) => {
  const file = await tell(cause as Cause, tempDir())
  const records = readFileSync(file, 'utf8').trimEnd().split('\n')
  const command = tierCommand(seriesOf(records.map((line) => parseRecord(line)!)), file)
  expect(command).toBe(tiers && `npx llmiter simulate --from ${file} ${tiers}`)
  if (!command) return
  // It runs as it stands, and more of what binds helps.
  const [now, higher] = await rows(command.replace('npx llmiter simulate ', ''))
  expect(higher!.waitMs.p95).toBeLessThan(now!.waitMs.p95)
})
