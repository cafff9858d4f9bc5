// What this process holds: amounts with the moment from which each is its own. A call goes when every limit has
// enough of what is due; what nobody used in its moment goes back to the store.

/** A slot may be used so late, in ms: within J, so that windows of the provider stay what they are. */
export const GRACE_MS = 40

interface Part {
  /** Local time, and that of the store. */
  at: number
  storeAt: number
  amount: number
}

/** Tells the store that something of a limit comes back. */
export type GiveBack = (limit: number, storeAt: number, amount: number) => void

export class Pool {
  readonly #limits: Part[][]
  readonly #giveBack: GiveBack

  constructor(limits: number, giveBack: GiveBack) {
    this.#limits = Array.from({ length: limits }, () => [])
    this.#giveBack = giveBack
  }

  put(amounts: readonly number[], at: number, storeAt: number): void {
    amounts.forEach((amount, i) => {
      if (amount > 0) this.#limits[i]?.push({ at, storeAt, amount })
    })
  }

  /** When the amounts are there; `Infinity` when not all of them are held. */
  at(amounts: readonly number[], now: number): number {
    this.expire(now)
    let at = now
    for (const [i, parts] of this.#limits.entries()) {
      let missing = amounts[i] ?? 0
      for (let k = 0; missing > 1e-9; k++) {
        const part = parts[k]
        if (!part) return Infinity
        missing -= part.amount
        at = Math.max(at, part.at)
      }
    }
    return at
  }

  take(amounts: readonly number[]): void {
    for (const [i, parts] of this.#limits.entries()) {
      let missing = amounts[i] ?? 0
      while (missing > 1e-9 && parts.length > 0) {
        const part = parts[0]!
        const taken = Math.min(missing, part.amount)
        missing -= taken
        part.amount -= taken
        if (part.amount <= 1e-9) parts.shift()
      }
    }
  }

  /** How much more than is held the amounts would take, or nothing when all is there. */
  missing(amounts: readonly number[]): number[] {
    const left = amounts.map((amount, i) => Math.max(0, amount - this.#sum(i)))
    return left.some((amount) => amount > 1e-9) ? left : []
  }

  /** How many calls of such amounts are held. */
  holds(amounts: readonly number[]): number {
    let least = Infinity
    for (const [i, amount] of amounts.entries())
      if (amount > 0) least = Math.min(least, this.#sum(i) / amount)
    return least === Infinity ? 0 : Math.floor(least + 1e-9)
  }

  /** When the last of it is due; `-Infinity` when nothing is held. */
  get lastAt(): number {
    return Math.max(-Infinity, ...this.#limits.map((parts) => parts.at(-1)?.at ?? -Infinity))
  }

  expire(now: number): void {
    for (const [i, parts] of this.#limits.entries()) {
      while (parts.length > 0 && parts[0]!.at + GRACE_MS < now) {
        const { storeAt, amount } = parts.shift()!
        this.#giveBack(i, storeAt, amount)
      }
    }
  }

  clear(): void {
    this.expire(Infinity)
  }

  #sum(limit: number): number {
    let sum = 0
    for (const { amount } of this.#limits[limit] ?? []) sum += amount
    return sum
  }
}
