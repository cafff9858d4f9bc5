// What a call will take, when its caller does not say: one request, and an estimate of its tokens, corrected by
// what calls of this limiter have really used. The estimate of the input is multiplied by the ratio of
// used to estimated, the median of the last calls, so that one call that is unlike the others changes nothing for
// them; of the output nothing is known but the running mean (and the most the caller allows).

import { isTokens, type Limit } from '../core/limit/parse-limits.ts'
import type { Cost } from '../core/cost.ts'
import { estimateTokens } from '../responses/token-count.ts'
import type { Usage } from '../responses/usage.ts'

/** The weight of the newest call in the running means. */
const WEIGHT = 0.05
/** The estimate is corrected by the median of so many calls. */
const RATIOS = 15
/** Tokens of input and output of a call of which nothing is known yet. */
const UNKNOWN = 500

export const ONE: Cost = Object.freeze({ requests: 1 })

/** What a cost was made of, so that it can be made again. */
interface Guess {
  /** As the arguments look; undefined when there are none to look at. */
  inputTokens?: number
  maxOutputTokens?: number
  /** What the caller said in the place of a guess. */
  said: Parts
  /** How many calls had taught the estimate. */
  seen: number
}

export class TokenEstimator {
  /** Whether it was told that the usage of calls cannot be read. */
  warned = false
  /** What the last calls used of their estimates, oldest first; it starts with the estimate as it is. */
  #ratios = [1]
  #ratio = 1
  #input = UNKNOWN
  #output = UNKNOWN
  #seen = 0
  readonly #guesses = new WeakMap<Cost, Guess>()

  /** The cost of a call with these arguments (none: of a call of which nothing is known), but for what its caller says. */
  cost(args: readonly unknown[] | undefined, limits: readonly Limit[], said: Parts = {}): Cost {
    if (!limits.some(({ of }) => isTokens(of))) return ONE
    return this.#cost({ ...(args && estimateTokens(args)), said, seen: this.#seen }, limits)
  }

  /** The same by what has been learned since: a batch that came at once was estimated before anything was known. */
  again(cost: Cost, limits: readonly Limit[]): Cost {
    const guess = this.#guesses.get(cost)
    return guess && guess.seen < this.#seen ? this.#cost({ ...guess, seen: this.#seen }, limits) : cost
  }

  #cost(guess: Guess, limits: readonly Limit[]): Cost {
    const { inputTokens: seen, maxOutputTokens, said } = guess
    const inputTokens = seen === undefined ? this.#input : Math.ceil(seen * this.#ratio)
    // Where the provider charges at the start, it charges the most that the caller allows.
    const charged = limits.some((limit) => isTokens(limit.of) && limit.settle === 'reserve')
    const outputTokens =
      charged && maxOutputTokens ? maxOutputTokens : Math.min(this.#output, maxOutputTokens ?? Infinity)
    const cost = whole({ requests: 1, inputTokens, outputTokens, ...said }, limits, said)
    this.#guesses.set(cost, guess)
    return cost
  }

  /** What a call of this cost has used. */
  learn(cost: Cost, usage: Usage): void {
    const weight = Math.max(WEIGHT, 1 / ++this.#seen)
    const { inputTokens, outputTokens } = usage
    const guessed = this.#guesses.get(cost)?.inputTokens
    if (inputTokens !== undefined) {
      this.#input += weight * (inputTokens - this.#input)
      if (guessed) this.#compare(inputTokens / guessed)
    }
    if (outputTokens !== undefined) this.#output += weight * (outputTokens - this.#output)
  }

  #compare(ratio: number): void {
    if (this.#ratios.length === RATIOS) this.#ratios.shift()
    this.#ratios.push(Math.min(10, ratio))
    const sorted = this.#ratios.toSorted((a, b) => a - b)
    // Of two in the middle the larger: it is better to have reserved too much.
    this.#ratio = sorted[sorted.length >> 1]!
  }
}

type Parts = Readonly<Record<string, number | undefined>>

/** An estimate never makes a call too large: of what was not said, no limit is asked for more than it can hold. */
function whole(cost: Parts, limits: readonly Limit[], said: Parts): Cost {
  const all = total(cost)
  for (const { of, amount } of limits) {
    if (isTokens(of) && said[of] === undefined && all[of]! > amount) all[of] = amount
  }
  return all
}

/** Tokens are input and output together, where only those are named. */
export function total(parts: Parts): Record<string, number> {
  const all = { ...parts } as Record<string, number>
  if (all.tokens === undefined && (all.inputTokens !== undefined || all.outputTokens !== undefined)) {
    all.tokens = (all.inputTokens ?? 0) + (all.outputTokens ?? 0)
  }
  return all
}
