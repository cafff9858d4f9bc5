// `llmiter usage`: from the log that a limiter writes, and from the ledger of a gateway, to tables that add up.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { BucketRateLimiter } from 'llmiter'
import { logTo } from 'llmiter/log'
import { VirtualClock } from 'llmiter/testing'
import { usage } from '../../src/cli/usage-report.ts'
import { rateLimited } from '../helpers.ts'
import { linesOf, record, recordsIn } from '../support/records.ts'
import { tempDir } from '../support/temp.ts'

/** Runs the command; resolves with its code and what it printed. */
async function run(...args: string[]) {
  const printed = { out: '', error: '' }
  const out = vi.spyOn(console, 'log').mockImplementation((text: string) => void (printed.out += `${text}\n`))
  const error = vi.spyOn(console, 'error').mockImplementation((text: string) => void (printed.error += text))
  onTestFinished(() => void vi.restoreAllMocks())
  const code = await usage(args)
  out.mockRestore()
  error.mockRestore()
  return { code, ...printed }
}

const ANSWER = {
  usage: { prompt_tokens: 100, completion_tokens: 20, prompt_tokens_details: { cached_tokens: 40 } },
}

/** Two tenants at one limiter over midnight; one call is refused once, one fails. */
async function logged(dir: string) {
  const clock = new VirtualClock({ wall: Date.parse('2026-01-01T23:59:30Z') })
  const limiter = new BucketRateLimiter({ name: 'gpt-5', clock, requestsPerMinute: 60, burst: 1 })
  using log = logTo(limiter, { dir })
  expect(log.file).toContain('gpt-5')
  let refused = false
  const call = (n: number) => async () => {
    await clock.sleep(10)
    if (n === 3 && !refused) {
      refused = true
      throw rateLimited(100)
    }
    if (n === 5) throw Object.assign(new Error('no'), { status: 400 })
    return ANSWER
  }
  for (let n = 0; n < 60; n++) limiter.run(call(n), { tenant: n < 20 ? 'alpha' : 'beta' }).catch(() => {})
  // A stream reports its tokens in several events, as they are billed.
  async function* stream() {
    yield {
      type: 'message_start',
      message: { usage: { input_tokens: 10, cache_read_input_tokens: 90, output_tokens: 1 } },
    }
    yield { type: 'message_delta', usage: { output_tokens: 50 } }
  }
  const streamed = limiter
    .run(() => stream())
    .then(async (answer) => {
      for await (const event of answer) expect(event).toBeDefined()
    })
  await clock.runAll()
  await streamed
}

const PRICES = { 'gpt-5': { input: 1, cachedInput: 0.1, output: 10 } }
/** 59 answers and a stream. */
const SUMS = {
  requests: 61,
  refused: 1,
  inputTokens: 6000,
  cachedTokens: 59 * 40 + 90,
  outputTokens: 59 * 20 + 50,
}
const COST = ((6000 - 2450) * 1 + 2450 * 0.1 + 1230 * 10) / 1e6

test('the log of a limiter: by model, tenant and day, as table, JSON and CSV', async () => {
  const dir = tempDir()
  await logged(dir)
  const prices = join(dir, 'prices.json')
  writeFileSync(prices, JSON.stringify(PRICES))
  const ask = (...args: string[]) => run('--dir', dir, '--prices', prices, ...args)

  const { code, out } = await ask()
  expect(code).toBe(0)
  expect(out.split('\n')).toEqual([
    'model  requests  refused  input  cached  output     cost',
    `gpt-5        61        1  6,000   2,450   1,230  $${COST.toFixed(4)}`,
    '',
  ])
  const json = JSON.parse((await ask('--json')).out) as object[]
  expect(json).toEqual([{ model: 'gpt-5', ...SUMS, costUsd: Number(COST.toFixed(9)), unpricedTokens: 0 }])

  const tenants = JSON.parse((await ask('--by', 'tenant', '--json')).out) as {
    tenant: string
    requests: number
  }[]
  // The failed call reported no tokens, so its tenant is unknown.
  expect(tenants.map(({ tenant, requests }) => [tenant, requests])).toEqual([
    ['beta', 40],
    ['alpha', 19],
    ['(none)', 2],
  ])
  const csv = (await ask('--by', 'day', '--csv')).out.trimEnd().split('\n')
  expect(csv[0]).toBe('day,requests,refused,inputTokens,cachedTokens,outputTokens,costUsd,unpricedTokens')
  expect(csv.slice(1).map((line) => line.split(',')[0])).toEqual(['2026-01-01', '2026-01-02'])
  const day = csv.slice(1).map((line) => Number(line.split(',')[1]))
  expect(day[0]! + day[1]!).toBe(61)
  const part = JSON.parse((await ask('--from', '2026-01-02T00:00Z', '--json')).out) as [{ requests: number }]
  expect(part[0].requests).toBe(day[1])
})

test('a sum of many costs shows no binary fractions', async () => {
  const dir = tempDir()
  const at = Date.UTC(2026, 0, 1)
  const over = {
    of: 'over',
    at,
    status: 200,
    key: 'a',
    model: 'm',
    inputTokens: 1,
    outputTokens: 0,
    cost: 0.1,
  }
  writeFileSync(join(dir, 'ledger-2026-01.jsonl'), `${JSON.stringify(over)}\n`.repeat(3))
  const rows = (await run('--ledger', dir, '--by', 'key', '--csv')).out
  expect(rows).toContain(',0.3,')
  expect(JSON.parse((await run('--ledger', dir, '--json')).out)).toMatchObject([{ costUsd: 0.3 }])
})

test('a log has no prompt, no answer and no key: only numbers and the names of tenants', async () => {
  const dir = tempDir()
  await logged(dir)
  const told = recordsIn(dir).flatMap(({ usage }) => usage ?? [])
  expect(told.length).toBeGreaterThan(10)
  for (const each of told)
    expect(Object.keys(each).filter((key) => key !== 'tenant')).toEqual([
      'calls',
      'input',
      'cached',
      'output',
    ])
})

test('without --prices the package of prices is asked; a model that it does not know has no cost, and that is told', async () => {
  const dir = tempDir()
  const use = [{ calls: 1, input: 1_000_000, cached: 0, output: 0 }]
  const t = Date.UTC(2026, 0, 1)
  writeFileSync(
    join(dir, '20260101T000000000Z-a-0123abcd.0001.jsonl'),
    linesOf([
      record(t, { name: 'gpt-4o-mini', finished: 1, usage: use }),
      record(t, { name: 'my, "own"', finished: 1, usage: use }),
    ]),
  )
  const { out } = await run('--dir', dir)
  expect(out).toMatch(/^gpt-4o-mini +1 +0 +1,000,000 +0 +0 +\$0\.1500$/m)
  expect(out).toMatch(/^my, "own" +1 +0 +1,000,000 +0 +0 +-$/m)
  expect(out).toContain('total')
  expect(out).toContain('1,000,000 tokens have no known price: --prices FILE')
  expect((await run('--dir', dir, '--csv')).out).toContain('"my, ""own""",1,0,1000000,0,0,,1000000')
})

test('the ledger of a gateway: by key, with the cost that it has reckoned unless --prices is given', async () => {
  const dir = join(tempDir(), 'state')
  mkdirSync(dir)
  const at = Date.UTC(2026, 0, 5)
  const over = (extra: object) => ({
    of: 'over',
    at,
    id: 'x',
    target: 'openai',
    status: 200,
    waitedMs: 0,
    ms: 1,
    ...extra,
  })
  const lines = [
    { of: 'sent', at, id: 'x', bound: { requests: 1, tokens: 1, usd: 1 } },
    over({
      key: 'team-a',
      model: 'gpt-5',
      inputTokens: 1000,
      cachedTokens: 400,
      outputTokens: 100,
      cost: 0.5,
    }),
    over({ key: 'team-a', model: 'gpt-5', status: 429 }),
    { of: 'refused', at, key: 'team-b', model: 'gpt-5', status: 429, code: 'budget_exceeded' },
    over({ key: 'team-b', model: 'gpt-5', inputTokens: 10, outputTokens: 1, cost: 0.25 }),
  ]
  writeFileSync(
    join(dir, 'ledger-2026-01.jsonl'),
    `${lines.map((line) => JSON.stringify(line)).join('\n')}\n{"of":"ov`,
  )
  const rows = JSON.parse((await run('--ledger', dir, '--by', 'key', '--json')).out) as object[]
  expect(rows).toMatchObject([
    {
      key: 'team-a',
      requests: 1,
      refused: 1,
      inputTokens: 1000,
      cachedTokens: 400,
      outputTokens: 100,
      costUsd: 0.5,
    },
    { key: 'team-b', requests: 1, refused: 1, inputTokens: 10, costUsd: 0.25 },
  ])
  const prices = join(dir, 'prices.json')
  writeFileSync(prices, JSON.stringify({ default: { input: 1000, output: 0 } }))
  expect(JSON.parse((await run('--ledger', dir, '--prices', prices, '--json')).out)).toMatchObject([
    { costUsd: 1.01 },
  ])
})

test('a log without finished calls has another message than a missing log', async () => {
  const dir = tempDir()
  writeFileSync(join(dir, '20260101T000000000Z-a-0123abcd.0001.jsonl'), linesOf([record(0, { requests: 3 })]))
  expect(await run('--dir', dir)).toMatchObject({
    code: 1,
    error: expect.stringContaining(`the logs in ${dir} contain no finished call`) as string,
  })
})

test.each([
  [['--by', 'colour'], 2, "--by must be one of model, tenant, key, day, got 'colour'"],
  [['--json', '--csv'], 2, 'give --json or --csv, not both'],
  [['--dir', 'a', '--ledger', 'b'], 2, 'give --dir or --ledger, not both'],
  [['--dir', '/nowhere'], 1, 'there is no log in /nowhere'],
  [['--ledger', '/nowhere'], 1, 'there is no ledger of a gateway in /nowhere'],
  [['--dir', '/nowhere', '--prices', '/nowhere/x'], 1, '--prices: /nowhere/x cannot be read'],
])('%j is reported', async (args, code, words) => {
  const told = await run(...args)
  expect([told.code, told.error]).toEqual([code, expect.stringContaining(words)])
})
