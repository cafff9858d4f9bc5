/**
 * Random numbers for tests: the same for the same seed on every machine, so that a failed run can be repeated.
 * `Math.random` cannot be seeded.
 */

/**
 * Returns a function that gives uniform numbers in [0, 1), the same for the same seed. The seed is truncated to 32
 * bits. Not for secrets.
 *
 * Source: mulberry32, by Tommy Ettinger (2017, public domain): a Weyl sequence through a mixing function.
 *
 * @example
 * const random = seededRandom(7)
 * const clock = new VirtualClock({ lateMs: () => 20 * random() })
 */
export function seededRandom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
