/**
 * Random sizes of which most are small and a few very large: durations of answers, and tokens of prompts and
 * answers.
 *
 * Averages hide the important effect: a slot held by one call for ten minutes is missing for all others, and a
 * limiter that estimates by the mean is wrong for nearly every call.
 */
import { fields, positive } from './check.ts'
import { seededRandom } from '../lib/random.ts'

/** Options of a lognormal distribution. */
export interface LognormalOptions {
  /** Half of the numbers are below it. */
  median: number
  /**
   * The spread: e^sigma is the factor of one standard deviation.
   * @default 1
   */
  sigma?: number
  /**
   * The same seed gives the same numbers.
   * @default 1
   */
  seed?: number
}

/**
 * Returns a function that gives numbers whose logarithm is normally distributed. With sigma 1, one in six is above
 * 2.7 medians, and one in a hundred above 10.
 *
 * Source: G. E. P. Box and M. E. Muller, "A Note on the Generation of Random Normal Deviates" (1958).
 *
 * @example
 * const outputTokens = lognormal({ median: 300, seed: 7 })
 * provider.ask(0, { outputTokens: Math.ceil(outputTokens()) })
 */
export function lognormal(options: LognormalOptions): () => number {
  fields(options, 'lognormal', ['median', 'sigma', 'seed'])
  const { median, sigma = 1, seed = 1 } = options
  positive(median, 'median')
  positive(sigma, 'sigma')
  const random = seededRandom(seed)
  return () => median * Math.exp(sigma * normal(random))
}

/** A number of the standard normal distribution. */
export function normal(random: () => number): number {
  // Uses 1 − random(), because random() may be 0, which has no logarithm.
  const radius = Math.sqrt(-2 * Math.log(1 - random()))
  return radius * Math.cos(2 * Math.PI * random())
}

/** Options of a Pareto distribution. */
export interface ParetoOptions {
  /** The minimum. */
  min: number
  /**
   * How fast the tail thins out. Below 2 there is no variance, below 1 no mean.
   * @default 1.5
   */
  shape?: number
  /**
   * The same seed gives the same numbers.
   * @default 1
   */
  seed?: number
}

/**
 * Returns a function that gives numbers of which a share of `(min ÷ x) ** shape` is above x, a heavier tail than
 * the lognormal one. With shape 1.5, one in a hundred is above 21 times the minimum.
 *
 * @example
 * const serviceMs = pareto({ min: 400, shape: 1.5, seed: 7 })
 */
export function pareto(options: ParetoOptions): () => number {
  fields(options, 'pareto', ['min', 'shape', 'seed'])
  const { min, shape = 1.5, seed = 1 } = options
  positive(min, 'min')
  positive(shape, 'shape')
  const random = seededRandom(seed)
  return () => min / (1 - random()) ** (1 / shape)
}
