/**
 * Decides where time comes from: the one place in the library that reads a clock or arms a timer.
 *
 * Everything else takes `now` as an argument or asks a `Clock`, so ten minutes of traffic can be replayed in
 * milliseconds. The globals are looked up at each call, never at import: a bundle must load in runtimes that
 * forbid timers at module scope (Cloudflare), and fake timers installed by a test must be seen.
 */

import { MAX_TIMER_MS } from '../lib/units.ts'

/**
 * What the library knows of time. `systemClock` is the real one; `VirtualClock` of `llmiter/testing` is the one
 * for tests.
 */
export interface Clock {
  /** Monotonic ms since some fixed moment. It paces: it never jumps when somebody sets the machine's clock. */
  now(): number
  /** Epoch ms. It may jump; it is for calendar days and HTTP dates only. */
  wall(): number
  /**
   * Arms one timer of `ms` and returns its cancel, which may be called at any time and more than once.
   *
   * A timer may fire late, a fraction of a ms early, and after `MAX_TIMER_MS` when `ms` is longer than that, so
   * the callback asks `now()` again instead of trusting that its moment has come. With `keepAlive` false the
   * timer alone need not keep the process running.
   */
  setTimer(fn: () => void, ms: number, keepAlive?: boolean): () => void
  /** Numbers in [0, 1) that spread waits, so that many clients do not return together. Default `Math.random`. */
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
 * The machine's own time.
 *
 * It throws a `TypeError` that names the global when the runtime has no `performance`, `setTimeout` or `clearTimeout`.
 */
export const systemClock: Clock = {
  now() {
    // Read twice for each call, so not by `lookUp`, which costs ten times as much.
    const { performance } = globalThis
    return performance ? performance.now() : lookUp('performance').now()
  },
  wall: () => Date.now(),
  setTimer(fn, ms, keepAlive = true) {
    // Node cuts fractions off: without the ceil a wait of 1.9 ms ends after 1 ms and needs a second timer.
    const timer = lookUp('setTimeout')(fn, Math.min(Math.max(Math.ceil(ms), 0), MAX_TIMER_MS))
    // Only Node, Bun and Deno give timers that can be let go of.
    if (!keepAlive) (timer as { unref?: () => void }).unref?.()
    return () => lookUp('clearTimeout')(timer)
  },
}
