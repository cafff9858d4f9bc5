// How the budgets of a pool (`llmiter/pool`) ask a store that processes share: types only, since the two sides know nothing
// of each other.

/** What one budget has spent in one period, for one tenant, model or whatever it is by. */
export interface BudgetAccount {
  /** The budget: those of one name share what they have spent. */
  readonly budget: string
  /** Whose account it is; `''` when there is one for all. */
  readonly key: string
  /** Epoch ms at which the period ends. */
  readonly resetsAt: number
  /** The most of each unit. */
  readonly limits: Readonly<Record<string, number>>
}

/** What a store says of a reservation. */
export interface BudgetReservation {
  /** Whether all accounts had room: else nothing was reserved. */
  readonly reserved: boolean
  /** What each account has spent and reserved of each unit, without this reservation. */
  readonly taken: readonly Readonly<Record<string, number>>[]
}

/** Where the budgets of pools are kept when processes share them: `redisStore` of `llmiter/redis`, among others. */
export interface BudgetStore {
  /** Reserves these amounts in all accounts or in none, in one step. Rejects when the store is out of reach. */
  reserve(
    accounts: readonly BudgetAccount[],
    amounts: Readonly<Record<string, number>>,
  ): Promise<BudgetReservation>
  /** Adds these amounts to what each account has spent. An amount is negative if less was used than reserved. */
  settle(accounts: readonly BudgetAccount[], amounts: Readonly<Record<string, number>>): Promise<void>
}
