/**
 * Virtual time for packages that use only the globals: timers, dates and random numbers of this process follow the
 * clock of the current run.
 *
 * It needs its own process: timers of p-queue or an SDK must not meet another client's time. Node's own parts
 * (messages between processes, `setImmediate`) do not use the globals and stay real.
 */
import { seededRandom } from '../../src/testing/index.ts'
import { present } from './run.ts'

interface Handle {
  cancel(): void
  ref(): Handle
  unref(): Handle
  hasRef(): boolean
  refresh(): Handle
}

function handle(arm: () => () => void): Handle {
  let cancel = arm()
  const made: Handle = {
    cancel: () => cancel(),
    ref: () => made,
    unref: () => made,
    hasRef: () => true,
    refresh() {
      cancel()
      cancel = arm()
      return made
    },
  }
  return made
}

export function installFakes(): void {
  const later = (fn: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
    handle(() => present.clock.setTimer(() => fn(...args), Math.max(1, Number(ms) || 0)))
  const every = (fn: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    const { clock } = present
    return handle(() => {
      let cancel = clock.setTimer(ring, ms)
      function ring() {
        cancel = clock.setTimer(ring, ms)
        fn(...args)
      }
      return () => cancel()
    })
  }
  const clear = (timer: Handle | undefined) => timer?.cancel()
  const RealDate = Date
  class FakeDate extends RealDate {
    constructor(...args: [] | [number]) {
      super(...((args.length === 0 ? [present.clock.wall()] : args) as [number]))
    }

    static override now(): number {
      return Math.floor(present.clock.wall())
    }
  }
  Object.assign(globalThis, {
    setTimeout: later,
    clearTimeout: clear,
    setInterval: every,
    clearInterval: clear,
    Date: FakeDate,
  })
  Object.defineProperty(performance, 'now', { value: () => present.clock.now() })
  Math.random = seededRandom(1)
}

/** The numbers of a run must not depend on earlier runs. */
export function seedRandom(seed: number): void {
  Math.random = seededRandom(seed)
}
