/**
 * A provider made of several counters: a call is accepted only if it fits all of them.
 *
 * A call refused for its tokens must not use up a request, except at providers that count failures.
 * `failuresCount` simulates those, where repeated attempts are costly.
 */
import { playBacklog } from './optimum.ts'
import { choice } from './check.ts'
import type { QuotaCounter } from './quota-counter.ts'
import type {
  LimitRefusal,
  ModelProvider,
  ProviderAnswer,
  ProviderCall,
  ProviderLimit,
  ProviderUsage,
} from './provider.ts'

/** How the models of this folder refuse. */
export interface RefusalOptions {
  /**
   * How a refusal reports the wait: the exact ms, whole seconds rounded up, or not at all.
   * @default `'exact'`, unless the model says otherwise
   */
  retryAfter?: 'exact' | 'seconds' | 'none'
  /** Whether refused requests count as requests, as on OpenAI, Azure and Gemini. */
  failuresCount?: boolean
}

/** A counter, the amount that an accepted call is charged, and, if it is corrected, the final cost of the call. */
export interface MeteredLimit {
  counter: QuotaCounter
  charge(call: ProviderCall): number
  settle?(usage: ProviderUsage): number
}

/** A provider whose limits can be read. */
export class MeteredProvider implements ModelProvider {
  readonly name: string
  readonly #kind: string
  readonly #make: () => MeteredLimit[]
  readonly #limits: MeteredLimit[]
  readonly #refusal: Required<RefusalOptions>

  /** `make` is called again for each `unused` provider. */
  protected constructor(kind: string, make: () => MeteredLimit[], refusal: Required<RefusalOptions>) {
    choice(refusal.retryAfter, 'retryAfter', Object.keys(retryAfterNames))
    choice(refusal.failuresCount, 'failuresCount', [true, false])
    this.#kind = kind
    this.name = `${kind}${refusal.failuresCount ? ', failures count' : ''}, ${retryAfterNames[refusal.retryAfter]}`
    this.#make = make
    this.#limits = make()
    this.#refusal = refusal
    if (this.#limits.length === 0) throw new TypeError(`${kind}: give it at least one limit, got none`)
  }

  ask(now: number, call: ProviderCall = {}): ProviderAnswer {
    const never = this.#oversize(call)
    if (never) return this.#refuse(now, call, never, 'oversize')
    if (this.#limits.some(({ counter, charge }) => counter.waitMs(now, charge(call)) > 0)) {
      if (this.#refusal.failuresCount) this.#penalise(now)
      return this.#refuse(now, call, longestWait(this.#limits, now, call), 'rate')
    }
    for (const { counter, charge } of this.#limits) counter.take(now, charge(call))
    let finished = false
    return {
      kind: 'admitted',
      finish: (now, usage = call) => {
        if (!finished) settle(this.#limits, now, call, usage)
        finished = true
      },
    }
  }

  limits(now: number): ProviderLimit[] {
    return this.#limits.map(({ counter }) => ({
      of: counter.of,
      amount: counter.amount,
      perMs: counter.perMs,
      // The small addend keeps 3 from being reported as 2 because of a rounding error.
      remaining: Math.max(0, Math.floor(counter.remaining(now) + 1e-9)),
      resetMs: counter.resetMs(now),
    }))
  }

  waitMs(now: number, call: ProviderCall = {}): number {
    if (this.#oversize(call)) return Infinity
    const { counter, charge } = longestWait(this.#limits, now, call)
    return counter.waitMs(now, charge(call))
  }

  unused(): MeteredProvider {
    return new MeteredProvider(this.#kind, this.#make, this.#refusal)
  }

  optimumMs(now: number, calls: number, call: ProviderCall | ((index: number) => ProviderCall) = {}): number {
    return playBacklog(this.unused(), now, calls, call)
  }

  /**
   * From `now` on, all limits are `factor` times their initial value, rounded up if they count whole calls. Past
   * usage still counts. A bucket keeps its content as far as it still fits.
   */
  scale(now: number, factor: number): void {
    for (const { counter } of this.#limits) counter.scale(now, factor)
  }

  #oversize(call: ProviderCall): MeteredLimit | undefined {
    return this.#limits.find(({ counter, charge }) => charge(call) > counter.amount)
  }

  #penalise(now: number): void {
    for (const { counter } of this.#limits) if (counter.of === 'requests') counter.penalise(now)
  }

  #refuse(now: number, call: ProviderCall, limit: MeteredLimit, why: LimitRefusal['why']): LimitRefusal {
    const { counter } = limit
    const requested = limit.charge(call)
    const refusal: LimitRefusal = {
      kind: 'refused',
      why,
      status: 429,
      of: counter.of,
      limit: counter.amount,
      used: Math.ceil(counter.amount - Math.max(0, counter.remaining(now))),
      requested,
    }
    if (why === 'oversize' || this.#refusal.retryAfter === 'none') return refusal
    const waitMs = counter.waitMs(now, requested)
    if (waitMs === Infinity) return refusal
    const inSeconds = this.#refusal.retryAfter === 'seconds'
    return { ...refusal, retryAfterMs: inSeconds ? 1000 * Math.ceil(waitMs / 1000) : waitMs }
  }
}

const retryAfterNames = {
  exact: 'exact Retry-After',
  seconds: 'Retry-After in seconds',
  none: 'no Retry-After',
}

/** The counter with the longest wait. After that wait the call fits all counters. */
function longestWait(limits: MeteredLimit[], now: number, call: ProviderCall): MeteredLimit {
  const waitMs = ({ counter, charge }: MeteredLimit) => counter.waitMs(now, charge(call))
  return limits.reduce((worst, limit) => (waitMs(limit) > waitMs(worst) ? limit : worst))
}

function settle(limits: MeteredLimit[], now: number, call: ProviderCall, usage: ProviderUsage): void {
  for (const { counter, charge, settle } of limits)
    if (settle) counter.take(now, settle(usage) - charge(call))
}
