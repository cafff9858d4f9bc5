// Estimates the cost of a call whose caller does not give one: one request, and a token estimate that is corrected
// by what past calls used. The input estimate is multiplied by the median ratio of used to estimated tokens of the
// last calls. If there is no input to estimate from, the mean usage of past calls is taken, without the largest
// and the smallest. So a single unusual call does not distort the estimate. Each model has its own statistics,
// separately with and without media. A new model starts with the statistics of all models.

import { isTokens, type Limit } from '../core/limit/parse-limits.ts'
import type { Cost } from '../core/cost.ts'
import { get } from '../responses/safe-access.ts'
import { examine } from '../responses/token-count.ts'
import type { Usage } from '../responses/usage.ts'

/** How many of the last calls correct the estimate. */
const RECENT = 15
/** For how many models past usage is kept. */
const MOST_MODELS = 200
/** Tokens of input plus output assumed for a call about which nothing is known yet. */
const UNKNOWN = 500

export const ONE: Cost = Object.freeze({ requests: 1 })

/** The inputs of an estimate, so that it can be computed again. */
interface Guess {
  /** Estimated from the arguments. Undefined when there are none. */
  inputTokens?: number
  maxOutputTokens?: number
  /** Which statistics apply: the model, and whether the arguments contain media. */
  kind?: string | undefined
  /** The parts that the caller gave. */
  said: Parts
  /** How many calls had been recorded when the estimate was made. */
  seen: number
}

/** The recorded usage of calls of one kind. */
class Experience {
  /** Ratios of used to estimated tokens. The initial 1 stands for an exact estimate. */
  readonly #ratios = [1]
  readonly #inputs: number[] = []
  readonly #outputs: number[] = []
  ratio = 1
  input = UNKNOWN
  output = UNKNOWN

  learn(guessed: number | undefined, { inputTokens, outputTokens }: Usage): void {
    if (inputTokens !== undefined) {
      this.input = typical(add(this.#inputs, inputTokens))
      if (guessed) this.ratio = median(add(this.#ratios, Math.min(10, inputTokens / guessed)))
    }
    if (outputTokens !== undefined) this.output = typical(add(this.#outputs, outputTokens))
  }
}

function add(recent: number[], value: number): readonly number[] {
  if (recent.length === RECENT) recent.shift()
  recent.push(value)
  return recent
}

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b)

/** Of the two middle values the larger, since reserving too much is safer. */
const median = (values: readonly number[]): number => sorted(values)[values.length >> 1]!

/** The mean. With three or more values, the largest and the smallest are left out. */
function typical(values: readonly number[]): number {
  const kept = values.length < 3 ? values : sorted(values).slice(1, -1)
  return kept.reduce((sum, value) => sum + value, 0) / kept.length
}

export class TokenEstimator {
  /** Whether the warning about unreadable usage has been emitted. */
  warned = false
  readonly #all = new Experience()
  readonly #kinds = new Map<string, Experience>()
  #seen = 0
  readonly #guesses = new WeakMap<Cost, Guess>()

  /**
   * The cost of a call with these arguments, or of a typical call without arguments. `said` is what the caller
   * gave.
   */
  cost(args: readonly unknown[] | undefined, limits: readonly Limit[], said: Parts = {}): Cost {
    if (!limits.some(({ of }) => isTokens(of))) return ONE
    if (!args) return this.#cost({ said, seen: this.#seen }, limits)
    const { media, ...estimate } = examine(args)
    const model = String(get(args[0], 'model') ?? '').slice(0, 100)
    return this.#cost(
      { ...estimate, kind: media ? `${model} with media` : model, said, seen: this.#seen },
      limits,
    )
  }

  /**
   * Computes the cost again with what was learned since. Calls of a large batch are all estimated before any usage
   * is known.
   */
  again(cost: Cost, limits: readonly Limit[]): Cost {
    const guess = this.#guesses.get(cost)
    return guess && guess.seen < this.#seen ? this.#cost({ ...guess, seen: this.#seen }, limits) : cost
  }

  #cost(guess: Guess, limits: readonly Limit[]): Cost {
    const { inputTokens: seen, maxOutputTokens, kind, said } = guess
    const { ratio, input, output } = (kind !== undefined && this.#kinds.get(kind)) || this.#all
    const inputTokens = seen === undefined ? input : Math.ceil(seen * ratio)
    // A provider that charges at the start of a call charges the most output that the caller allows.
    const charged = limits.some((limit) => isTokens(limit.of) && limit.settle === 'reserve')
    const outputTokens =
      charged && maxOutputTokens ? maxOutputTokens : Math.min(output, maxOutputTokens ?? Infinity)
    const cost = whole({ requests: 1, inputTokens, outputTokens, ...said }, limits, said)
    this.#guesses.set(cost, guess)
    return cost
  }

  /** Whether the cost was given or estimated from the request. Otherwise it is the cost of a typical call. */
  knows(cost: Cost): boolean {
    const guess = this.#guesses.get(cost)
    return !guess || guess.inputTokens !== undefined || Object.keys(guess.said).length > 0
  }

  /** Records what a call of this cost used. */
  learn(cost: Cost, usage: Usage): void {
    this.#seen++
    const { inputTokens, kind } = this.#guesses.get(cost) ?? {}
    this.#all.learn(inputTokens, usage)
    if (kind !== undefined) this.#experience(kind).learn(inputTokens, usage)
  }

  #experience(kind: string): Experience {
    let found = this.#kinds.get(kind)
    if (!found) {
      if (this.#kinds.size >= MOST_MODELS) this.#kinds.clear()
      this.#kinds.set(kind, (found = new Experience()))
    }
    return found
  }
}

type Parts = Readonly<Record<string, number | undefined>>

/** Cuts estimated parts to what each limit can hold, so that an estimate never makes a call too large. */
function whole(cost: Parts, limits: readonly Limit[], said: Parts): Cost {
  const all = total(cost)
  for (const { of, amount } of limits) {
    if (isTokens(of) && said[of] === undefined && all[of]! > amount) all[of] = amount
  }
  return all
}

/** Sets `tokens` to input plus output if only those are given. */
export function total(parts: Parts): Record<string, number> {
  const all = { ...parts } as Record<string, number>
  if (all.tokens === undefined && (all.inputTokens !== undefined || all.outputTokens !== undefined)) {
    all.tokens = (all.inputTokens ?? 0) + (all.outputTokens ?? 0)
  }
  return all
}
