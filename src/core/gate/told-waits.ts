// Whether the waits that a provider tells are right.
//
// Some refusals tell the same wait whatever the truth is ("Retry-After: 60", written into the configuration of a
// gateway). A told wait is believed until the provider itself shows that it is far too long: it accepts a call that was
// sent after the refusal and long before the end of the wait. From then on waits are guessed, until a guess proves too
// short. Where no such call is on its way, the second long wait is tested by a probe that goes early; one that is refused
// shows that the waits are right, and is never repeated.

/** A shorter wait is kept whatever is known of it: little is lost. */
const LONG_MS = 10_000
/** A call that was sent in this share of the wait and is accepted shows that it is wrong. */
const EARLY = 0.5
/** When the early probe goes. */
const TEST = 1 / 8
const TEST_EVERY_MS = 60_000

export class ToldWaits {
  /** Told waits have been shown to be far too long. */
  wrong = false
  /** A long wait was told, and a call that is accepted may show that it is wrong. */
  open = false
  #from = -Infinity
  #to = -Infinity
  #weight = 0
  /** A test has shown that they are right. */
  #right = false
  /** How many long waits were told to a gate that closed. */
  #kept = 0
  #testedAt = -Infinity

  /** A call of this weight was refused, and a wait was told. */
  told(waitMs: number, weight: number, now: number): void {
    if (waitMs < LONG_MS || now < this.#to) return
    this.#from = now
    this.#to = now + EARLY * waitMs
    this.#weight = weight
    this.open = true
  }

  /** A call was accepted that was sent at `sentAt`. A lighter one than what was refused proves nothing. */
  accepted(sentAt: number, weight: number): void {
    if (sentAt >= this.#to) this.open = false
    else if (sentAt > this.#from && weight >= this.#weight) {
      this.wrong = true
      this.open = false
    }
  }

  /** The gate closes for this wait: after how many ms a probe is to test it, if it is in doubt. */
  test(waitMs: number, now: number): number | undefined {
    if (waitMs < LONG_MS || this.#right || this.#kept++ === 0) return undefined
    if (now - this.#testedAt < TEST_EVERY_MS) return undefined
    this.#testedAt = now
    return TEST * waitMs
  }

  /** A probe that went before the end of the wait was accepted, or not. */
  tested(accepted: boolean): void {
    this.wrong = accepted
    this.#right = !accepted
  }
}
