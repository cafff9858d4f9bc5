// What a call will take, when its caller does not say: one request, and an estimate of its tokens, corrected by
// what calls have really used. The estimate of the input is multiplied by the ratio of used to estimated, the median
// of the last calls. Where nothing is known but earlier calls, their mean counts, without the largest and the smallest.
// So a single unusual call changes nothing for the others. Each model has its own statistics, with media and without; a
// new one begins with the statistics of all models.

import { isTokens, type Limit } from '../core/limit/parse-limits.ts'
import type { Cost } from '../core/cost.ts'
import { get } from '../responses/safe-access.ts'
import { examine } from '../responses/token-count.ts'
import type { Usage } from '../responses/usage.ts'

/** How many of the last calls correct the estimate. */
const RECENT = 15
/** For how many models past usage is kept. */
const MOST_MODELS = 200
/** Tokens of input and output of a call of which nothing is known yet. */
const UNKNOWN = 500

export const ONE: Cost = Object.freeze({ requests: 1 })

/** What a cost was computed from, so that it can be computed again. */
interface Guess {
  /** Estimated from the arguments; undefined when there are none. */
  inputTokens?: number
  maxOutputTokens?: number
  /** Whose experience counts: the model, and whether there are media among the arguments. */
  kind?: string | undefined
  /** What the caller said in the place of a guess. */
  said: Parts
  /** How many calls had taught the estimate. */
  seen: number
}

/** What calls of one kind have used. */
class Experience {
  /** Used to estimated; it starts with the estimate as it is. */
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

/** Of two in the middle the larger: it is better to have reserved too much. */
const median = (values: readonly number[]): number => sorted(values)[values.length >> 1]!

/** The mean; from three on without the largest and the smallest. */
function typical(values: readonly number[]): number {
  const kept = values.length < 3 ? values : sorted(values).slice(1, -1)
  return kept.reduce((sum, value) => sum + value, 0) / kept.length
}

export class TokenEstimator {
  /** Whether the warning that usage cannot be read has been given. */
  warned = false
  readonly #all = new Experience()
  readonly #kinds = new Map<string, Experience>()
  #seen = 0
  readonly #guesses = new WeakMap<Cost, Guess>()

  /** The cost of a call with these arguments (without any: of a typical call). `said` is what the caller gave. */
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

  /** The same by what has been learned since: a batch that came at once was estimated before anything was known. */
  again(cost: Cost, limits: readonly Limit[]): Cost {
    const guess = this.#guesses.get(cost)
    return guess && guess.seen < this.#seen ? this.#cost({ ...guess, seen: this.#seen }, limits) : cost
  }

  #cost(guess: Guess, limits: readonly Limit[]): Cost {
    const { inputTokens: seen, maxOutputTokens, kind, said } = guess
    const { ratio, input, output } = (kind !== undefined && this.#kinds.get(kind)) || this.#all
    const inputTokens = seen === undefined ? input : Math.ceil(seen * ratio)
    // Where the provider charges at the start, it charges the most that the caller allows.
    const charged = limits.some((limit) => isTokens(limit.of) && limit.settle === 'reserve')
    const outputTokens =
      charged && maxOutputTokens ? maxOutputTokens : Math.min(output, maxOutputTokens ?? Infinity)
    const cost = whole({ requests: 1, inputTokens, outputTokens, ...said }, limits, said)
    this.#guesses.set(cost, guess)
    return cost
  }

  /** Whether the cost was given, or estimated from what the call sends; otherwise it is only that of a typical call. */
  knows(cost: Cost): boolean {
    const guess = this.#guesses.get(cost)
    return !guess || guess.inputTokens !== undefined || Object.keys(guess.said).length > 0
  }

  /** What a call of this cost has used. */
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

/** An estimate never makes a call too large: estimated parts are cut to what each limit can hold. */
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
