// Sends several calls as one request, up to the size that the provider accepts. For embeddings.
//
// A request collects calls for a moment, and for as long as another request of its kind waits for a ticket. So the
// scarcer tickets are, the more calls share one. A request that is refused because of its content is halved until
// the inputs at fault are alone. Their callers get the error, and the others get their answers.

import { type Clock, type Cost, type Duration, estimateTokens, WaitTimeoutError } from 'llmiter'
import { watch } from '../lib/abort.ts'
import { outside } from '../lib/async-context.ts'
import { duration } from '../lib/duration.ts'
import { callable, fields, number, text } from '../lib/validate.ts'
import { canonical } from './canonical.ts'
import { checkCall, type PoolCall } from './pool-call.ts'
import type { PoolWork } from './pool-member.ts'
import { divided, type Fields, frameOf, inputsOf, joined, type Share } from './request-list.ts'

/** The limits for one request of `pool.batched`. */
export interface BatchedOptions {
  /**
   * The maximum number of inputs per request.
   * @default 2048, OpenAI's limit
   */
  readonly maxItems?: number
  /**
   * The maximum number of tokens per request, estimated.
   * @default 300,000, OpenAI's limit
   */
  readonly maxTokens?: number
  /**
   * How long a call waits for other calls to join its request.
   * @default 2 ms
   */
  readonly collectMs?: Duration
}

/** The options of one call of a function that `pool.batched` made. */
export type BatchedCall = PoolCall & { readonly request?: undefined }

export type SendRequest = (target: never, request: never, signal: AbortSignal | undefined) => unknown

/** What a bundler needs from its pool. */
export interface BatchingPool {
  readonly clock: Clock
  readonly stats: { batched: number }
  run(fn: PoolWork, call: PoolCall): Promise<unknown>
  /** Whether a target has refused a request as too large, with this error. */
  isOversize(error: unknown): boolean
  /**
   * A call made within other calls gives back their tickets, because other calls may go before it. Returns the
   * call with the terms of the enclosing calls.
   */
  leaveTickets(call: BatchedCall): BatchedCall
}

/** A call that takes part in a bundle. */
interface Part extends Share {
  readonly request: Fields
  readonly call: BatchedCall
  /** The bundle it is part of. */
  bundle: Bundle | undefined
  over: boolean
  resolve(answer: unknown): void
  reject(error: unknown): void
}

/** Calls that share one request. */
interface Bundle {
  readonly kind: string
  readonly parts: Part[]
  /** Number of parts that have not ended. */
  staying: number
  items: number
  tokens: number
  /** Aborts when all callers have left. */
  readonly left: AbortController
  /** `due`: the bundle goes as soon as no other bundle of its kind waits. */
  stage: 'collects' | 'due' | 'waits' | 'sent'
  stopCollecting(): void
}

/** The request was refused because of its content, by the provider, a limit or a budget. A part of it may succeed. */
const HALVED_AT: readonly unknown[] = [400, 413, 422, 'REQUEST_TOO_LARGE', 'BUDGET_EXCEEDED']

export class RequestBundler {
  readonly #pool: BatchingPool
  readonly #send: SendRequest
  readonly #maxItems: number
  readonly #maxTokens: number
  readonly #collectMs: number
  /** The bundle of each kind that still accepts calls. */
  readonly #open = new Map<string, Bundle>()
  /** How many bundles of each kind wait for a ticket. */
  readonly #waiting = new Map<string, number>()

  constructor(pool: BatchingPool, send: SendRequest, options: BatchedOptions) {
    callable(send, 'fn')
    fields(options, 'batched', ['maxItems', 'maxTokens', 'collectMs'])
    const { maxItems = 2048, maxTokens = 300_000, collectMs = 2 } = options
    this.#maxItems = number(maxItems, 'maxItems', 'a whole number of at least 1')
    this.#maxTokens = number(maxTokens, 'maxTokens', 'a number above 0')
    this.#collectMs = duration(collectMs, 'collectMs')
    this.#pool = pool
    this.#send = send
  }

  ask(request: unknown, given: BatchedCall): Promise<unknown> {
    if (typeof request !== 'object' || request === null)
      throw new TypeError(`request must be an object, got ${text(request)}`)
    checkCall(given)
    const inputs = inputsOf(request as Fields)
    const alone = (call: BatchedCall) =>
      this.#pool.run((target, signal) => this.#send(target, request as never, signal), { ...call, request })
    if (inputs === undefined || given.share === false || given.maxWaitMs === 0) return alone(given)
    const call = this.#pool.leaveTickets(given)
    const kind = kindOf(request as Fields, inputs, call)
    if (kind === undefined) return alone(call)
    const { inputTokens } = estimateTokens([request])
    const share = { items: inputs.length, tokens: inputTokens }
    return new Promise((resolve, reject) => {
      this.#add(kind, {
        request: request as Fields,
        call,
        ...share,
        bundle: undefined,
        over: false,
        resolve,
        reject,
      })
    })
  }

  #add(kind: string, part: Part): void {
    const { signal, maxWaitMs } = part.call
    this.#join(kind, part)
    const ends: (() => void)[] = []
    const { resolve, reject } = part
    const ending =
      <V>(tell: (value: V) => void) =>
      (value: V) => {
        part.over = true
        for (const end of ends) end()
        tell(value)
      }
    part.resolve = ending(resolve)
    part.reject = ending(reject)
    const leave = (error: unknown) => {
      part.reject(error)
      this.#left(part, error)
    }
    if (signal) ends.push(watch(signal, () => leave(signal.reason)))
    if (maxWaitMs === undefined) return
    const late = () => {
      if (part.bundle!.stage === 'sent') return
      leave(new WaitTimeoutError(`no target had room within maxWaitMs (${String(maxWaitMs)})`))
    }
    ends.push(this.#pool.clock.setTimer(late, duration(maxWaitMs, 'maxWaitMs'), true))
  }

  /** Adds a call to a bundle of its kind. */
  #join(kind: string, part: Part): void {
    const open = this.#open.get(kind)
    if (open) {
      const fits = open.items + part.items <= this.#maxItems && open.tokens + part.tokens <= this.#maxTokens
      if (fits) return put(open, part)
      this.#place(open)
    }
    const bundle = bundleOf(kind, [part])
    this.#open.set(kind, bundle)
    const due = () => {
      bundle.stage = 'due'
      this.#next(kind)
    }
    bundle.stopCollecting = this.#pool.clock.setTimer(due, this.#collectMs, true)
  }

  /** A caller has aborted. */
  #left(part: Part, error: unknown): void {
    const bundle = part.bundle!
    bundle.staying--
    bundle.items -= part.items
    bundle.tokens -= part.tokens
    if (bundle.staying > 0) return
    this.#close(bundle)
    bundle.left.abort(error)
  }

  #next(kind: string): void {
    const open = this.#open.get(kind)
    if (open?.stage === 'due' && !this.#waiting.has(kind)) this.#place(open)
  }

  /** Stops accepting calls. */
  #close(bundle: Bundle): void {
    bundle.stopCollecting()
    if (this.#open.get(bundle.kind) === bundle) this.#open.delete(bundle.kind)
  }

  #place(bundle: Bundle): void {
    this.#close(bundle)
    bundle.stage = 'waits'
    this.#waiting.set(bundle.kind, (this.#waiting.get(bundle.kind) ?? 0) + 1)
    // The request belongs to all its callers, so it must not count as nested in one of them.
    void outside(() => this.#deliver(bundle))
  }

  async #deliver(bundle: Bundle): Promise<void> {
    let sent: readonly Part[] = []
    const send: PoolWork = (target, signal) => {
      // A request stays the same once it was sent, even when it is retried elsewhere.
      if (bundle.stage === 'waits') sent = stayingIn(bundle)
      this.#goes(bundle)
      return this.#send(target, requestOf(sent) as never, signal)
    }
    try {
      const answer = await this.#pool.run(send, { ...callOf(bundle), signal: bundle.left.signal })
      const answers = divided(answer, sent)
      if (sent.length > 1) this.#pool.stats.batched += sent.length
      for (const [i, part] of sent.entries()) if (!part.over) part.resolve(answers[i])
    } catch (error) {
      const parts = stayingIn(bundle)
      if (parts.length > 1 && this.#mayPassInHalves(error)) {
        const half = Math.ceil(parts.length / 2)
        for (const some of [parts.slice(0, half), parts.slice(half)]) this.#place(bundleOf(bundle.kind, some))
      } else for (const part of parts) part.reject(error)
      this.#goes(bundle)
    }
  }

  /** The bundle no longer waits, so the next one of its kind may. */
  #goes(bundle: Bundle): void {
    if (bundle.stage === 'sent') return
    bundle.stage = 'sent'
    const others = this.#waiting.get(bundle.kind)! - 1
    if (others > 0) this.#waiting.set(bundle.kind, others)
    else this.#waiting.delete(bundle.kind)
    this.#next(bundle.kind)
  }

  #mayPassInHalves(error: unknown): boolean {
    const { status, code, cause } = Object(error) as Fields
    const { code: why } = Object(cause) as Fields
    return [status, code, why].some((one) => HALVED_AT.includes(one)) || this.#pool.isOversize(error)
  }
}

function bundleOf(kind: string, parts: readonly Part[]): Bundle {
  const bundle: Bundle = {
    ...{ kind, parts: [], staying: 0, items: 0, tokens: 0 },
    ...{ left: new AbortController(), stage: 'collects', stopCollecting: () => {} },
  }
  for (const part of parts) put(bundle, part)
  return bundle
}

function put(bundle: Bundle, part: Part): void {
  part.bundle = bundle
  bundle.parts.push(part)
  bundle.staying++
  bundle.items += part.items
  bundle.tokens += part.tokens
}

const stayingIn = ({ parts }: Bundle): Part[] => parts.filter(({ over }) => !over)

const requestOf = (parts: readonly Part[]): Fields => joined(parts.map(({ request }) => request))

const OWN = new Set(['signal', 'maxWaitMs', 'cost'])

/** The options that all calls of a bundle share. */
const sharedBy = (call: BatchedCall): PoolCall =>
  Object.fromEntries(Object.entries(call).filter(([name]) => !OWN.has(name)))

/** The call that a bundle makes. Options that belong to a single caller are handled here. */
function callOf(bundle: Bundle): PoolCall {
  const parts = stayingIn(bundle)
  const costs = parts.flatMap(({ call: { cost } }) => (cost === undefined ? [] : [cost]))
  return {
    ...sharedBy(parts[0]!.call),
    request: requestOf(parts),
    ...(costs.length > 0 && { cost: sumOf(costs) }),
  }
}

/** All parts together count as one request. */
function sumOf(costs: readonly NonNullable<PoolCall['cost']>[]): Cost {
  const sum: Record<string, number> = {}
  for (const cost of costs)
    for (const [of, amount] of Object.entries(cost))
      if (amount !== undefined)
        sum[of] = of === 'requests' ? Math.max(amount, sum[of] ?? 0) : amount + (sum[of] ?? 0)
  return sum
}

/**
 * A key for what calls of one bundle must have in common: everything that the strategy, the budgets and the
 * provider look at. Undefined: the call cannot be compared.
 */
function kindOf(request: Fields, inputs: readonly unknown[], call: BatchedCall): string | undefined {
  return canonical([frameOf(request, inputs), sharedBy(call), call.cost !== undefined])
}
