// Decides whether the waits that a provider states are right.
//
// Some refusals tell the same wait whatever the truth is ("Retry-After: 60", written into the configuration of a
// gateway), or a multiple of it. So a long wait is tested by a probe that goes early, as soon as the provider answers
// another call meanwhile. If that is refused and told the same end, somebody counts down: the waits are right from then
// on. If it is told another end, or accepted, nobody does, and waits are guessed. A provider that refuses for as long as
// it had told is right, whatever it tells.

/** A shorter wait is always kept, since it costs little. */
const LONG_MS = 10_000
/** When the early probe goes. Ends that are told in whole seconds differ by up to one. */
const TEST_MS = 1700
const SAME_END = 0.7
/** An accepted call that was sent within this share of the wait shows that the wait is wrong. */
const EARLY = 0.5

export class ToldWaits {
  /** Whether told waits have been shown to be right, or wrong. */
  right: boolean | undefined
  /** A long wait was told, and an accepted call may prove it wrong. */
  open = false
  #from = -Infinity
  #ms = 0
  #weight = 0
  /** The provider answered a call during such a wait. */
  #answers = false

  /** A call of this weight was refused, and a wait was told. */
  told(waitMs: number, weight: number, now: number): void {
    if (waitMs < LONG_MS) return
    const elapsed = now - this.#from
    if (elapsed >= this.#ms) {
      this.#from = now
      this.#ms = waitMs
      this.#weight = weight
      this.open = true
    } else if (elapsed > TEST_MS && this.right !== true && weight === this.#weight)
      this.right = Math.abs(elapsed + waitMs - this.#ms) < SAME_END * elapsed
  }

  /** A call sent at `sentAt` was accepted. A call lighter than the refused one proves nothing. */
  accepted(sentAt: number, weight: number): void {
    this.#answers = true
    const early = sentAt < this.#from + EARLY * this.#ms
    if (early && (sentAt <= this.#from || weight < this.#weight)) return
    this.open = false
    if (early) this.right = false
  }

  /** Calls at guessed times were refused for `refusedMs`, and the provider states this wait. */
  refused(refusedMs: number, waitMs: number): void {
    if (this.right === false && refusedMs >= Math.max(waitMs, LONG_MS)) this.right = true
  }

  /** Whether to keep a told wait; otherwise the wait is guessed. */
  believes(waitMs: number): boolean {
    return this.right ?? (waitMs < LONG_MS || !this.#answers)
  }

  /** The shortest guessed wait that can test the told waits. */
  get leastMs(): number {
    return this.right === undefined ? TEST_MS : 0
  }
}
