// Whether refusals are more than chance: cumulative sums over the calls in the order in which they are sent.
//
// Some providers refuse a share of all calls whatever the rate (shared capacity). To close the gate for each of
// them would stop everybody, and to cut the rate would not help. So each refusal adds the log of how much likelier it
// is if a limit is exceeded than by chance, each call that passed takes off its own, and only a sum above a bound
// speaks of a limit (E. S. Page, "Continuous inspection schemes", 1954, with the weights of A. Wald's sequential test).
//
//   blocked   half of the calls are refused, or more: the gate closes
//   exceeded  more are refused than by chance: the rate is cut to what gets through, and the gate stays open
//   cleared   as many are refused at that lower rate: it was chance, and the rate is what it was before

/** A limit that blocks refuses so large a share. */
const BLOCKED = 0.5
/** One that is exceeded refuses so much more than chance. */
const EXCEEDED = 0.05
/** Chance refuses at least so much, for all we know; and at most, while the rate is not being tried. */
const LEAST_CHANCE = 0.002
const MOST_CHANCE = 0.05
const BOUND = Math.log(BLOCKED / LEAST_CHANCE)
/** A cut costs less than a closed gate. */
const CUT = 4
/** Before anything is accepted, a first refusal closes the gate: the first few calls may still be on their way. */
const FIRST = BOUND + 4 * Math.log((1 - MOST_CHANCE) / (1 - BLOCKED))
/** How surely a lower rate has to tell whether it was chance. */
const SURE = 3
/** How many calls the share that was refused is remembered over. */
const MEMORY_CALLS = 300

/** What speaks for a limit, and against it. */
export interface Evidence {
  /** Calls that went. */
  readonly tickets: number
  /** Those of them that were refused while the gate was open. */
  readonly refusals: number
  /** A call was answered that was sent after the gate had closed. */
  readonly passing: boolean
}

/** What is known of the rate that was refused. */
export interface RateTrust {
  /** It has not been allowed for long: refusals have to be expected. */
  tried: boolean
  /** It is known what got through since the first refusal that may be chance. */
  measured: boolean
}

export type Suspected =
  /** `first`: those before it are forgotten. */
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

  /** So many calls have passed, and then one was refused; they are likelier if this share is refused than by chance. */
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
  /** What was refused lately where no limit was expected; it may be chance. */
  #lately = 0
  /** What is refused by chance, as tests have shown. */
  #chance = LEAST_CHANCE
  /**
   * The rate was cut since this share was refused (`before`: at least). `sum` is how much likelier that was chance than
   * a limit.
   */
  #test:
    { before: number; share: number; since: number; sum: number; calls: number; refusals: number } | undefined

  /** A call sent at `sentAt` was refused. */
  refused({ tried, measured }: RateTrust, tickets: number, sentAt: number, now: number): Suspected {
    const passed = Math.max(0, tickets - this.#at - 1)
    this.#at = tickets
    const cleared = this.#cleared(passed, tried, sentAt)
    this.#blocked.add(passed, tried ? Math.max(this.#lately, LEAST_CHANCE) : MOST_CHANCE, BLOCKED)
    // Where chance is known to refuse, it takes one more refusal, and the next closing starts from nothing.
    const known = this.#chance > LEAST_CHANCE
    if (this.#blocked.value >= (known ? BOUND + Math.log(BLOCKED / MOST_CHANCE) : BOUND)) {
      const { refusals } = this.#blocked
      this.blocked()
      return { of: 'blocked', refusals }
    }
    if (!tried) {
      const mean = (share: number) => share + (1 - share * (passed + 1)) / MEMORY_CALLS
      this.#lately = Math.min(Math.max(0, mean(this.#lately)), MOST_CHANCE)
      // Only a lower rate tells chance; what is refused at this one may be its own fault.
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

  /** The gate closes: what comes next is judged anew. */
  blocked(): void {
    this.#blocked = new Sum(this.#chance > LEAST_CHANCE ? 0 : BOUND)
    this.#lately = this.#chance
    this.#exceeded = new Sum()
    this.#test = undefined
  }

  /** The last cut is no test: it was too small. */
  untested(): void {
    this.#test = undefined
  }

  /** Whether the cut has not helped: then that share is refused by chance. */
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
    // What a higher rate than the tested one is refused says nothing of the test.
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
