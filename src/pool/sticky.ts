// Maps keys to targets: by rendezvous hashing, so that a target that joins or leaves moves only its own keys, or
// by the target that last served the key, while that is remembered.

import type { PoolTarget } from './pool-target.ts'
import { only, type TargetTier } from './strategy.ts'

const MOST_KEYS = 100_000

export class StickyTargets {
  readonly #ttlMs: number | undefined
  readonly #last = new Map<string, { index: number; until: number }>()

  constructor(ttlMs: number | undefined) {
    this.#ttlMs = ttlMs
  }

  /** The target of a key among those that may answer the call. */
  of(key: string, tiers: readonly TargetTier[], targets: readonly PoolTarget[], now: number): number {
    const last = this.#last.get(key)
    if (last && now < last.until && tiers.some(({ indices }) => indices.includes(last.index)))
      return last.index
    let best = -Infinity
    let found = 0
    const { indices, weights } = tiers[0]!
    for (const [i, index] of indices.entries()) {
      const share = -weights[i]! / Math.log((hash(`${targets[index]!.name}\n${key}`) + 0.5) / 2 ** 32)
      if (share > best) [best, found] = [share, index]
    }
    return found
  }

  keep(key: string, index: number, now: number): void {
    if (this.#ttlMs === undefined) return
    // Moves the entry to the end, so that the first entry of the map is the least recently used.
    this.#last.delete(key)
    this.#last.set(key, { index, until: now + this.#ttlMs })
    if (this.#last.size > MOST_KEYS) this.#last.delete(this.#last.keys().next().value!)
  }
}

/** The tiers with this target in front. */
export function prefer(tiers: readonly TargetTier[], index: number): readonly TargetTier[] {
  return [only(index), ...tiers]
}

/** FNV-1a, followed by the final mixing step of MurmurHash3, so that keys that differ in one letter map far apart. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
