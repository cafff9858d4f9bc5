// "What would a higher tier give?": the command that a page has ready plays the calls of its log against the limit that binds.

import { expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { logTo } from 'llmiter/log'
import { VirtualClock } from 'llmiter/testing'
import { seriesOf } from '../../src/cli/page/index.ts'
import { tierCommand } from '../../src/cli/tier-command.ts'
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
  expect(now!.timeMs / 60_000).toBeCloseTo(5, 0)
  expect(higher!.timeMs / 60_000).toBeCloseTo(2.5, 0)
})
