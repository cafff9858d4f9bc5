// One attempt of a call: sends it to a target, then counts, charges and logs the result.

import { randomUUID } from 'node:crypto'
import { mergeUsage } from 'llmiter'
import { StreamAnswer, type StreamEnd, type WholeAnswer } from './answer.ts'
import { type ClientCall, factsOf, modelAt, requestOf } from './call.ts'
import type { GatewayCounters } from './counters.ts'
import { UpstreamError } from './errors.ts'
import type { CallLedger, LedgerAmounts } from './ledger.ts'
import type { CallProgress } from './progress.ts'
import type { Leaf } from './route.ts'
import type { Spend } from './spend.ts'
import type { Upstreams } from './upstream.ts'

interface Attempt {
  readonly id: string
  /** The requested model, by which it is billed. */
  readonly model: string | undefined
  /** Epoch ms. */
  readonly at: number
  readonly target: string
}

/** What is known about a finished attempt. */
interface AttemptEnd {
  /** The HTTP status. 0 if there was no answer, or not a complete one. */
  readonly status: number
  readonly billed?: { readonly input: number; readonly cached: number; readonly output: number } | undefined
  readonly usd?: number | undefined
  /** What counts against budgets. */
  readonly used?: LedgerAmounts | undefined
}

const NOTHING: LedgerAmounts = { requests: 0, tokens: 0, usd: 0 }

export class Attempts {
  readonly #upstreams: Upstreams
  readonly #counters: GatewayCounters
  readonly #ledger: CallLedger | undefined
  /** Replaced when the configuration is reloaded. */
  spend: Spend

  constructor(upstreams: Upstreams, counters: GatewayCounters, ledger: CallLedger | undefined, spend: Spend) {
    this.#upstreams = upstreams
    this.#counters = counters
    this.#ledger = ledger
    this.spend = spend
  }

  /** Rejects with an `UpstreamError` when the provider answers with an error. */
  async send(
    leaf: Leaf,
    call: ClientCall,
    progress: CallProgress,
    signal: AbortSignal | undefined,
  ): Promise<WholeAnswer | StreamAnswer> {
    const { target, overrides, timeoutMs, option, goesOn } = leaf.plan
    await progress.charge?.hold()
    if (progress.attempts++ === 0) progress.waitedMs = performance.now() - progress.startedAt
    progress.target = target.name
    progress.option = option
    const attempt: Attempt = {
      id: randomUUID(),
      model: modelAt(call, overrides),
      at: Date.now(),
      target: target.name,
    }
    if (progress.charge)
      this.#ledger?.add({
        of: 'sent',
        ...factsOf(call),
        at: attempt.at,
        id: attempt.id,
        bound: progress.charge.bound,
      })
    const hideUsage = call.bodyForUsage !== undefined && target.options.includeUsage !== false
    try {
      const answer = await this.#upstreams.send({
        address: target.address,
        method: call.method,
        path: call.path,
        headers: { ...call.headers, ...target.headers },
        body: bodyOf(call, hideUsage, overrides),
        signal,
        hideUsage,
        timeoutMs: timeoutMs ?? target.timeoutMs,
        streamOver: (end) => this.#streamOver(call, progress, attempt, end),
      })
      if (!(answer instanceof StreamAnswer)) this.#answered(call, progress, attempt, answer.answered, answer)
      return answer
    } catch (error) {
      this.#failed(call, progress, attempt, error)
      if (error instanceof UpstreamError) error.goesOn = goesOn?.(error.status) ?? false
      throw error
    }
  }

  #answered(call: ClientCall, progress: CallProgress, attempt: Attempt, status: number, usage: object): void {
    const { billed, usd } = this.spend.usedBy(attempt.model, usage)
    const used = billed && amountsOf(billed.input + billed.output, usd)
    progress.cost = usd
    progress.charge?.settle(used)
    const told = mergeUsage(undefined, usage)
    progress.ticket?.finish(told ? { usage: told } : {})
    this.#over(call, progress, attempt, { status, billed, usd, used: used ?? progress.charge?.bound })
  }

  /** A stream that failed, or whose client left, reported only a part. What was seen counts. */
  #streamOver(
    call: ClientCall,
    progress: CallProgress,
    attempt: Attempt,
    { whole, usage, events }: StreamEnd,
  ): void {
    if (whole) return this.#answered(call, progress, attempt, 200, usage)
    const told = this.spend.usedBy(attempt.model, usage).billed
    const billed = {
      input: Math.max(told?.input ?? 0, progress.charge?.input ?? 0),
      cached: told?.cached ?? 0,
      output: Math.max(told?.output ?? 0, events),
    }
    const usd = this.spend.usd(attempt.model, billed)
    const used = amountsOf(billed.input + billed.output, usd)
    progress.charge?.settle(used)
    progress.ticket?.finish({ usage: { inputTokens: billed.input, outputTokens: billed.output } })
    this.#over(call, progress, attempt, { status: 0, billed, usd, used })
  }

  /** An error with a status used nothing. Without an answer the usage is unknown, so everything reserved counts. */
  #failed(call: ClientCall, progress: CallProgress, attempt: Attempt, error: unknown): void {
    const { charge } = progress
    if (error instanceof UpstreamError) {
      this.#over(call, progress, attempt, { status: error.status, used: NOTHING })
      charge?.release()
    } else {
      this.#over(call, progress, attempt, { status: 0, used: charge?.bound })
      charge?.settle()
    }
  }

  #over(
    call: ClientCall,
    { waitedMs, charge }: CallProgress,
    attempt: Attempt,
    { status, billed, usd, used }: AttemptEnd,
  ): void {
    const ms = Date.now() - attempt.at
    this.#counters.answered(attempt.target, status, waitedMs, ms, billed, usd)
    this.#ledger?.add({
      of: 'over',
      ...factsOf(call),
      at: attempt.at,
      id: attempt.id,
      target: attempt.target,
      status,
      waitedMs: Math.round(waitedMs),
      ms,
      ...(billed && { inputTokens: billed.input, outputTokens: billed.output }),
      ...(billed?.cached && { cachedTokens: billed.cached }),
      ...(usd !== undefined && { cost: usd }),
      ...(charge && used && { used }),
    })
  }
}

const amountsOf = (tokens: number, usd = 0): LedgerAmounts => ({
  requests: 1,
  tokens,
  usd: Math.ceil(usd * 1e9),
})

/** The body as received, unless the route overrides fields in it. */
function bodyOf(
  call: ClientCall,
  hideUsage: boolean,
  overrides: Readonly<Record<string, unknown>> | undefined,
): Buffer | undefined {
  const body = hideUsage ? call.bodyForUsage : call.body
  if (!overrides || !body) return body
  return Buffer.from(JSON.stringify({ ...Object(requestOf({ ...call, body })), ...overrides }))
}
