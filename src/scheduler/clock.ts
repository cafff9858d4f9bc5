/**
 * Provides the time. This is the only place in the library that reads a clock or sets a timer.
 *
 * All other code takes `now` as an argument or uses a `Clock`, so ten minutes of traffic can be replayed in
 * milliseconds. The globals are looked up at each call and never at import: the bundle must load in runtimes that
 * forbid timers at module scope (Cloudflare), and fake timers installed by a test must be used.
 */

import { MAX_TIMER_MS } from '../lib/units.ts'

/** The library's source of time. `systemClock` is the real one. `VirtualClock` of `llmiter/testing` is for tests. */
export interface Clock {
  /** Monotonic ms since some fixed moment. Used for pacing, because it does not jump when the system clock is set. */
  now(): number
  /** Epoch ms. It may jump. It is used only for calendar days and HTTP dates. */
  wall(): number
  /**
   * Sets a timer of `ms` and returns a function that cancels it, which may be called at any time and more than
   * once.
   *
   * A timer may fire late, a fraction of a ms early, or after `MAX_TIMER_MS` if `ms` is longer. So the callback
   * reads `now()` again. With `keepAlive` false, the timer alone does not keep the process running.
   */
  setTimer(fn: () => void, ms: number, keepAlive?: boolean): () => void
  /**
   * Random numbers in [0, 1) that spread waits, so that many clients do not return at the same time.
   * @default `Math.random`
   */
  random?(): number
}

type GlobalName = 'performance' | 'setTimeout' | 'clearTimeout'

function lookUp<N extends GlobalName>(name: N): (typeof globalThis)[N] {
  const found = (globalThis as Partial<typeof globalThis>)[name]
  if (found === undefined) {
    throw new TypeError(
      `llmiter needs globalThis.${name}, which is ${String(found)} in this runtime: pass your own \`clock\``,
    )
  }
  return found
}

/**
 * The system clock.
 *
 * Throws a `TypeError` that names the missing global if the runtime has no `performance`, `setTimeout` or
 * `clearTimeout`.
 */
export const systemClock: Clock = {
  now() {
    // Read twice per call, so this avoids `lookUp`, which takes ten times as long.
    const { performance } = globalThis
    return performance ? performance.now() : lookUp('performance').now()
  },
  wall: () => Date.now(),
  setTimer(fn, ms, keepAlive = true) {
    // Node truncates fractions: without `ceil` a wait of 1.9 ms would end after 1 ms and need a second timer.
    const timer = lookUp('setTimeout')(fn, Math.min(Math.max(Math.ceil(ms), 0), MAX_TIMER_MS))
    // Only Node, Bun and Deno have timers with `unref`.
    if (!keepAlive) (timer as { unref?: () => void }).unref?.()
    return () => lookUp('clearTimeout')(timer)
  },
}
