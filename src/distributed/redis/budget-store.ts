// Stores the budgets of pools (`llmiter/pool`) for all processes that use one Redis. Each account is a hash of the
// spent and reserved amount of each unit. One script checks all accounts of a call and reserves in all of them or
// in none. The reservations of a process that dies stay, because it is unknown whether its calls were answered.

import type { BudgetAccount, BudgetReservation, BudgetStore } from 'llmiter'
import { cachedScript } from './cached-script.ts'
import type { Connection } from './connection.ts'
import { HOUR } from '../../lib/units.ts'

// ARGV: number of units, their names, their amounts; then for each account its expiry, and its limit of each unit
// or ''.
const RESERVE = `
local units = tonumber(ARGV[1])
local answer = { 1 }
for i, key in ipairs(KEYS) do
  for u = 1, units do
    local taken = redis.call('HGET', key, ARGV[1 + u]) or '0'
    local limit = ARGV[1 + 2 * units + (i - 1) * (units + 1) + 1 + u]
    if limit ~= '' and tonumber(taken) + tonumber(ARGV[1 + units + u]) > tonumber(limit) then answer[1] = 0 end
    answer[#answer + 1] = taken
  end
end
if answer[1] == 1 then
  for i, key in ipairs(KEYS) do
    for u = 1, units do redis.call('HINCRBYFLOAT', key, ARGV[1 + u], ARGV[1 + units + u]) end
    redis.call('PEXPIREAT', key, ARGV[1 + 2 * units + (i - 1) * (units + 1) + 1])
  end
end
return answer`

// An expired account is not recreated, because it would stay forever.
const SETTLE = `
local units = tonumber(ARGV[1])
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    for u = 1, units do redis.call('HINCRBYFLOAT', key, ARGV[1 + u], ARGV[1 + units + u]) end
  end
end
return 1`

/** Calls of one period may end in the next, so accounts are kept this much longer. */
const KEEP_MS = HOUR

const escaped = (name: string) => name.replace(/[{}%:]/g, encodeURIComponent)

export function redisBudgets(connectionOf: () => Connection, prefix: string): BudgetStore {
  let scripts:
    { reserve: ReturnType<typeof cachedScript>; settle: ReturnType<typeof cachedScript> } | undefined
  const open = () => {
    if (!scripts) {
      const connection = connectionOf()
      scripts = { reserve: cachedScript(connection, RESERVE), settle: cachedScript(connection, SETTLE) }
    }
    return scripts
  }
  // One hash tag for all, so that in a cluster the accounts of a call are on one node.
  const keyOf = ({ budget, key, resetsAt }: BudgetAccount) =>
    `${prefix}{budgets}:${escaped(budget)}:${escaped(key)}:${resetsAt}`
  const head = (amounts: Readonly<Record<string, number>>) => [
    String(Object.keys(amounts).length),
    ...Object.keys(amounts),
    ...Object.values(amounts).map(String),
  ]
  return {
    async reserve(accounts, amounts) {
      const units = Object.keys(amounts)
      const rules = accounts.flatMap(({ limits, resetsAt }) => [
        String(resetsAt + KEEP_MS),
        ...units.map((unit) => String(limits[unit] ?? '')),
      ])
      const answer = await open().reserve(accounts.map(keyOf), [...head(amounts), ...rules])
      const [reserved, ...taken] = (answer as unknown[]).map(Number)
      return {
        reserved: reserved === 1,
        taken: accounts.map((_, i) =>
          Object.fromEntries(units.map((unit, u) => [unit, taken[i * units.length + u]!])),
        ),
      } satisfies BudgetReservation
    },
    async settle(accounts, amounts) {
      await open().settle(accounts.map(keyOf), head(amounts))
    },
  }
}
