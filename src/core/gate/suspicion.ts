// Whether refusals are more than chance: cumulative sums over the calls in the order in which they are sent.
//
// Some providers refuse a share of all calls at any rate (shared capacity). Closing the gate for each refusal would
// stop all calls, and cutting the rate would not help. So each refusal adds its log-likelihood ratio (exceeded limit
// against chance), each passed call adds its own negative one, and only a sum above a bound indicates a limit
// (E. S. Page, "Continuous inspection schemes", 1954, with the weights of A. Wald's sequential test).
//
//   blocked   half of the calls are refused, or more: the gate closes
//   exceeded  more are refused than by chance: the rate is cut to what gets through, and the gate stays open
//   cleared   as many are refused at that lower rate: it was chance, and the rate is what it was before

/** The share of calls that a blocking limit refuses. */
const BLOCKED = 0.5
/** By how much the refused share of an exceeded limit is above chance. */
const EXCEEDED = 0.05
/** Bounds of the share refused by chance; the upper one holds while the rate is not being tried. */
const LEAST_CHANCE = 0.002
const MOST_CHANCE = 0.05
const BOUND = Math.log(BLOCKED / LEAST_CHANCE)
/** A cut costs less than a closed gate. */
const CUT = 4
/** Before anything is accepted, a first refusal closes the gate: the first few calls may still be on their way. */
const FIRST = BOUND + 4 * Math.log((1 - MOST_CHANCE) / (1 - BLOCKED))
/** The log-likelihood at which a lower rate decides whether it was chance. */
const SURE = 3
/** Over how many calls the refused share is averaged. */
const MEMORY_CALLS = 300

/** Evidence for a limit and against it. */
export interface Evidence {
  /** Calls that went. */
  readonly tickets: number
  /** Those of them that were refused while the gate was open. */
  readonly refusals: number
  /** A call that was sent after the gate closed was answered. */
  readonly passing: boolean
}

/** What is known about the refused rate. */
export interface RateTrust {
  /** The rate is still being tried, so refusals must be expected. */
  tried: boolean
  /** The throughput since the first refusal that may be chance is known. */
  measured: boolean
}

export type Suspected =
  /** `first`: earlier refusals are forgotten. */
  | { of: 'chance'; first: boolean }
  | { of: 'exceeded' }
  | { of: 'blocked'; refusals: number }
  | { of: 'cleared' }

class Sum {
  value: number
  /** Since the first refusal after it was 0. */
  calls = 0
  refusals = 0

  constructor(value = 0) {
    this.value = value
  }

  /** `passed` calls passed and one was refused: adds the log-likelihood ratio of `share` against `chance`. */
  add(passed: number, chance: number, share: number): void {
    this.value += passed * Math.log((1 - share) / (1 - chance))
    if (this.value <= 0) this.value = this.calls = this.refusals = 0
    else this.calls += passed
    this.calls++
    this.refusals++
    this.value += Math.log(share / chance)
  }
}

export class Suspicion {
  #blocked = new Sum(FIRST)
  #exceeded = new Sum()
  /** How many tickets had gone at the last refusal. */
  #at = 0
  /** The share refused recently where no limit was expected; it may be chance. */
  #lately = 0
  /** The share refused by chance, as tests have shown. */
  #chance = LEAST_CHANCE
  /**
   * The rate was cut because this share was refused (`before`: at least). `sum` is the log-likelihood ratio of chance
   * against a limit.
   */
  #test:
    { before: number; share: number; since: number; sum: number; calls: number; refusals: number } | undefined

  /** A call sent at `sentAt` was refused. */
  refused({ tried, measured }: RateTrust, tickets: number, sentAt: number, now: number): Suspected {
    const passed = Math.max(0, tickets - this.#at - 1)
    this.#at = tickets
    const cleared = this.#cleared(passed, tried, sentAt)
    this.#blocked.add(passed, tried ? Math.max(this.#lately, LEAST_CHANCE) : MOST_CHANCE, BLOCKED)
    // Where calls are known to be refused by chance, closing takes one more refusal, and the next sum starts at zero.
    const known = this.#chance > LEAST_CHANCE
    if (this.#blocked.value >= (known ? BOUND + Math.log(BLOCKED / MOST_CHANCE) : BOUND)) {
      const { refusals } = this.#blocked
      this.blocked()
      return { of: 'blocked', refusals }
    }
    if (!tried) {
      const mean = (share: number) => share + (1 - share * (passed + 1)) / MEMORY_CALLS
      this.#lately = Math.min(Math.max(0, mean(this.#lately)), MOST_CHANCE)
      // Only a lower rate can prove chance; this rate may cause its own refusals.
      this.#chance = Math.max(Math.min(mean(this.#chance), this.#chance), LEAST_CHANCE)
    }
    if (cleared) return { of: 'cleared' }
    const chance = this.#test?.share ?? this.#chance
    this.#exceeded.add(passed, chance, chance + EXCEEDED)
    const { refusals, calls, value } = this.#exceeded
    if (value < CUT || !measured) return { of: 'chance', first: refusals === 1 }
    const again = this.#test !== undefined
    // Three refusals may stand for as few as one or two.
    const before = again ? this.#test!.before : (refusals - Math.sqrt(refusals)) / calls
    const share = Math.min(refusals / calls, MOST_CHANCE)
    this.#test = { before, share, since: now, sum: 0, calls: 0, refusals: 0 }
    this.#exceeded = new Sum()
    return { of: 'exceeded' }
  }

  /** The gate closes: later refusals are judged afresh. */
  blocked(): void {
    this.#blocked = new Sum(this.#chance > LEAST_CHANCE ? 0 : BOUND)
    this.#lately = this.#chance
    this.#exceeded = new Sum()
    this.#test = undefined
  }

  /** The last cut was too small to be a test. */
  untested(): void {
    this.#test = undefined
  }

  /** Whether the cut did not help, so that this share is refused by chance. */
  #cleared(passed: number, tried: boolean, sentAt: number): boolean {
    const test = this.#test
    if (!test || sentAt < test.since) return false
    const [same, less] = [0.5 * test.share, LEAST_CHANCE]
    test.sum += passed * Math.log((1 - same) / (1 - less))
    test.calls += passed + 1
    if (test.sum <= -2 * SURE) {
      this.#test = undefined
      this.#lately = this.#chance
      return false
    }
    // Refusals at a higher rate than the tested one do not count for the test.
    if (tried) return false
    test.refusals++
    test.sum += Math.log(same / less)
    const remains = test.refusals / test.calls
    if (test.sum < SURE || remains > 2 * MOST_CHANCE) return false
    this.#test = undefined
    this.#exceeded = new Sum()
    this.#chance = Math.min(Math.max(remains, LEAST_CHANCE), MOST_CHANCE)
    return remains > test.before / 4
  }
}
