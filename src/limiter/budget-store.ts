// The interface between the budgets of a pool (`llmiter/pool`) and a store that processes share. Types only, so
// that neither side imports the other.

/** The spending of one budget in one period, for one key (such as a tenant or model). */
export interface BudgetAccount {
  /** The name of the budget. Budgets of the same name share their spending. */
  readonly budget: string
  /** The key of the account, or `''` if the budget has a single account. */
  readonly key: string
  /** Epoch ms at which the period ends. */
  readonly resetsAt: number
  /** The maximum amount of each unit. */
  readonly limits: Readonly<Record<string, number>>
}

/** The store's answer to a reservation. */
export interface BudgetReservation {
  /** Whether all accounts had room. If not, nothing was reserved. */
  readonly reserved: boolean
  /** What each account has spent and reserved of each unit, without this reservation. */
  readonly taken: readonly Readonly<Record<string, number>>[]
}

/** A store for the budgets of pools, shared by processes. `redisStore` of `llmiter/redis` is one. */
export interface BudgetStore {
  /** Reserves these amounts in all accounts or in none, in one step. Rejects if the store cannot be reached. */
  reserve(
    accounts: readonly BudgetAccount[],
    amounts: Readonly<Record<string, number>>,
  ): Promise<BudgetReservation>
  /** Adds these amounts to what each account has spent. An amount is negative if less was used than reserved. */
  settle(accounts: readonly BudgetAccount[], amounts: Readonly<Record<string, number>>): Promise<void>
}
