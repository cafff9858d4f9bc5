/** Counts the spending of pools for a store in memory, by the same rules as the Redis script. */
import type { BudgetAccount, BudgetStore } from '../../index.ts'

export function budgetLedger(reach: () => void): BudgetStore & { flush(): void } {
  const spent = new Map<string, Record<string, number>>()
  const keyOf = ({ budget, key, resetsAt }: BudgetAccount) => JSON.stringify([budget, key, resetsAt])
  const add = (accounts: readonly BudgetAccount[], amounts: Readonly<Record<string, number>>) => {
    for (const account of accounts) {
      const before = spent.get(keyOf(account)) ?? {}
      const after = Object.entries(amounts).map(([unit, amount]) => [unit, (before[unit] ?? 0) + amount])
      spent.set(keyOf(account), { ...before, ...(Object.fromEntries(after) as Record<string, number>) })
    }
  }
  return {
    async reserve(accounts, amounts) {
      await Promise.resolve(reach())
      const units = Object.keys(amounts)
      const taken = accounts.map((account) => {
        const sums = spent.get(keyOf(account)) ?? {}
        return Object.fromEntries(units.map((unit) => [unit, sums[unit] ?? 0]))
      })
      const reserved = accounts.every(({ limits }, i) =>
        units.every((unit) => taken[i]![unit]! + amounts[unit]! <= (limits[unit] ?? Infinity)),
      )
      if (reserved) add(accounts, amounts)
      return { reserved, taken }
    },
    async settle(accounts, amounts) {
      await Promise.resolve(reach())
      add(accounts, amounts)
    },
    flush: () => spent.clear(),
  }
}
