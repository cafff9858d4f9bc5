// With random calls that share answers and requests: each caller gets its own answer once, and shared requests
// keep to the limits, the budgets and the order of attempts.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { refusal } from '../helpers.ts'
import { poolOf } from './rig.ts'

const MINUTE = 60_000
const BATCH = 4
const ATTEMPTS = 5

const call = fc.record({
  at: fc.integer({ min: 0, max: 4000 }),
  /** Equal calls may share an answer. Calls of one batch share a request. */
  asks: fc.integer({ min: 0, max: 3 }),
  way: fc.constantFrom('run', 'batched'),
  inputs: fc.integer({ min: 1, max: 3 }),
  tenant: fc.constantFrom('x', undefined),
  priority: fc.integer({ min: 0, max: 1 }),
  share: fc.constantFrom(true, true, false),
  /** Not used by other code. */
  unique: fc.boolean(),
  leavesAfter: fc.option(fc.integer({ min: 0, max: 6000 }), { nil: undefined }),
  maxWaitMs: fc.option(fc.integer({ min: 0, max: 9000 }), { nil: undefined }),
})

/** The answers of the providers in order, and how long each takes. 0: the connection is lost. */
const answers = fc.infiniteStream(
  fc.record({
    status: fc.constantFrom(200, 200, 200, 200, 400, 401, 404, 429, 500, 503, 0),
    ms: fc.integer({ min: 0, max: 1500 }),
  }),
)

const options = fc.record({
  coalesce: fc.boolean(),
  caches: fc.boolean(),
  acrossTenants: fc.boolean(),
  fallsBack: fc.boolean(),
})

interface Asked {
  readonly asks: number
  readonly inputs: readonly string[]
  /** The caller of a request, if known: a request shared by several does not name its callers. */
  readonly tenant?: string | null
}

test('every caller gets its own answer once, and what is sent for several keeps to limits and budgets', async () => {
  const property = fc.asyncProperty(
    fc.array(call, { minLength: 1, maxLength: 40 }),
    answers,
    options,
    async (calls, script, { coalesce, caches, acrossTenants, fallsBack }) => {
      const { pool, clock, targets } = poolOf(
        {
          paced: { requestsPerMinute: 60 },
          narrow: { maxConcurrent: 2 },
          spare: { maxConcurrent: 1, tier: 2 },
        },
        {
          coalesce,
          maxAttempts: ATTEMPTS,
          ...(caches && { cache: { maxBytes: 2000, ttl: '3s', acrossTenants } }),
          ...(fallsBack && { fallbackOn: [404] }),
          budget: [
            { requests: 25, per: 'day' },
            { tokens: 200, per: 'day', by: 'target' },
          ],
        },
      )
      const out: Record<string, number> = {}
      const sent: { target: string; at: number; inputs: readonly string[] }[] = []
      const billed: Record<string, number> = {}
      const faults: string[] = []
      const served: Record<string, number> = {}
      let answered = 0
      /** One request to a provider. */
      const send = async (name: string, { asks, inputs, tenant }: Asked, signal: AbortSignal | undefined) => {
        const { status, ms } = script.next().value as { status: number; ms: number }
        sent.push({ target: name, at: clock.now(), inputs })
        out[name] = (out[name] ?? 0) + 1
        if (out[name] > (name === 'narrow' ? 2 : name === 'spare' ? 1 : Infinity))
          faults.push(`${name} is too full`)
        if (inputs.length > BATCH) faults.push(`${inputs.length} inputs in one request`)
        let mayBeBilled = true
        try {
          await new Promise<void>((resolve, reject) => {
            clock.setTimer(resolve, ms)
            signal?.addEventListener('abort', () => reject(signal.reason as Error))
          })
          if (status === 0) throw Object.assign(new Error('lost'), { code: 'ECONNRESET' })
          mayBeBilled = status === 200
          if (status !== 200) throw refusal(status, { 'retry-after-ms': '500' })
        } finally {
          out[name]!--
          if (mayBeBilled) {
            answered++
            billed[name] = (billed[name] ?? 0) + inputs.length
          }
        }
        for (const input of inputs) served[input] = (served[input] ?? 0) + 1
        return {
          tenant,
          data: inputs.map((input) => `${asks}:${input}`),
          usage: { prompt_tokens: inputs.length, total_tokens: inputs.length },
        }
      }
      const embed = pool.batched(
        ({ name }, { model, input }: { model: string; input: string[] }, signal) =>
          send(name, { asks: Number(model), inputs: input }, signal),
        { maxItems: BATCH },
      )
      const ends = calls.map(() => 0)
      for (const [i, one] of calls.entries()) {
        const { at, asks, way, inputs: count, tenant, priority, share, unique, leavesAfter, maxWaitMs } = one
        clock.setTimer(() => {
          const leave = new AbortController()
          if (leavesAfter !== undefined) clock.setTimer(() => leave.abort(new Error('left')), leavesAfter)
          const inputs = Array.from({ length: count }, (_, k) => (unique ? `${i}.${k}` : `${k}`))
          const terms = {
            ...(tenant && { tenant }),
            ...{ priority, share, signal: leave.signal, cost: { tokens: count } },
            ...(maxWaitMs !== undefined && { maxWaitMs }),
          }
          const request = { model: `${asks}`, input: inputs }
          const answer =
            way === 'batched'
              ? embed(request, terms)
              : pool.run(({ name }, signal) => send(name, { asks, inputs, tenant: tenant ?? null }, signal), {
                  ...terms,
                  request,
                })
          answer.then(
            ({ data, tenant: whose }) => {
              ends[i]!++
              const own = inputs.map((input) => `${asks}:${input}`)
              if (data.join() !== own.join())
                faults.push(`call ${i} asked for ${own.join()} and got ${data.join()}`)
              if (whose !== undefined && whose !== (tenant ?? null) && !acrossTenants)
                faults.push(`call ${i} got the answer of another tenant`)
            },
            () => void ends[i]!++,
          )
        }, at)
      }
      await clock.runAll()
      expect(faults).toEqual([])
      expect(ends).toEqual(calls.map(() => 1))
      expect(pool.stats().waiting).toBe(0)
      expect(clock.pendingTimers).toBe(0)
      for (const { limiter } of targets) expect(limiter.stats()).toMatchObject({ waiting: 0, inFlight: 0 })
      for (const { inFlight } of pool.stats().targets) expect(inFlight).toBe(0)
      for (const { at } of sent) {
        const minute = sent.filter((s) => s.target === 'paced' && s.at >= at && s.at < at + MINUTE)
        expect(minute.length).toBeLessThanOrEqual(60)
      }
      for (const { name, key, amounts } of pool.stats().budgets) {
        const { used, reserved, limit } = amounts[0]!
        expect({ reserved, within: used <= limit }).toEqual({ reserved: 0, within: true })
        if (name === 'pool per day') expect(used).toBe(answered)
        else expect(used).toBeGreaterThanOrEqual(billed[key!] ?? 0)
      }
      for (const [i, { unique, way }] of calls.entries()) {
        if (!unique) continue
        expect(served[`${i}.0`] ?? 0).toBeLessThanOrEqual(1)
        const tries = sent.filter(({ inputs }) => inputs.includes(`${i}.0`)).length
        if (way === 'run') expect(tries).toBeLessThanOrEqual(ATTEMPTS)
      }
    },
  )
  await fc.assert(property, { numRuns: 30 })
})
