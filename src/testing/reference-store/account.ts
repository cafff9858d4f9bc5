// One limit in the store, the equivalent of `core/bucket.ts` for a single limiter: the time of the next ticket,
// and a log of the window.
//
// The log is divided into cells, so that refunds find their place. A cell counts until its last moment has left
// the window. The error is 1/2048 of the window, on the safe side.

import { LAW, type WantedLimit } from '../../distributed/protocol.ts'

/** The state of a limit in the store. */
export interface Account {
  due: number
  /** The same without credit: when the next ticket would be due if all had been issued one by one. */
  even: number
  /** When it was last read or taken from. While calls wait, credit does not grow after that. */
  seen: number
  used: number
  accepted: number
  /**
   * The amount reserved for missing processes: their part of a counted limit, or what they send by themselves at a
   * rate.
   */
  held: number
  /**
   * The same for processes whose share is no longer reserved. The calls that they sent leave the window gradually.
   */
  fading: Fading[]
  day: string
  /** The newest limit, and the process that reported it. */
  followed: { by: string; order: number; configured: number; burst: number } | undefined
  /** The amount taken, by cell of the window. Oldest first, unless it was amended. */
  log: Map<number, number>
  amended: boolean
  last: number
}

interface Fading {
  amount: number
  from: number
  till: number
}

/** With more entries than this, new ones are merged into the last. */
const MOST_FADING = 8

const partOf = ({ from, till }: Fading, now: number) => Math.min(1, Math.max(0, (till - now) / (till - from)))

/** The amount that counts although no process has reported it. */
export const unheard = ({ held, fading }: Account, now: number) =>
  fading.reduce((sum, one) => sum + one.amount * partOf(one, now), held)

function fade(account: Account, amount: number, ms: number, windowMs: number, now: number): void {
  account.held -= amount
  const last = account.fading.length < MOST_FADING ? undefined : account.fading.pop()
  const from = now + windowMs - Math.min(ms, windowMs)
  account.fading.push({
    amount: amount + (last ? last.amount * partOf(last, now) : 0),
    from,
    till: now + windowMs,
  })
}

const cellOf = (at: number, { windowMs }: WantedLimit) => Math.floor((at / windowMs) * LAW.cells)
/** When the amount taken in a cell no longer counts: one window after the cell's last moment. */
const leaves = (cell: number, { windowMs }: WantedLimit) => ((cell + 1) * windowMs) / LAW.cells + windowMs

/** Follows the limit of the newest process among those present. */
export function follow(
  account: Account,
  limit: WantedLimit,
  { id, order }: { id: string; order: number },
  isHere: (id: string) => boolean,
): WantedLimit {
  const { configured, burst } = limit
  const { followed } = account
  if (!followed || order >= followed.order || !isHere(followed.by)) {
    account.followed = { by: id, order, configured, burst: limit.burst }
    return limit
  }
  if (followed.configured === configured) return limit
  const scale = followed.configured / configured
  const { amount, rate } = limit
  return { ...limit, amount: amount * scale, rate: rate * scale, burst: burst === 1 ? 1 : followed.burst }
}

/** Removes what has left the window. */
export function forget(account: Account, limit: WantedLimit, now: number): void {
  if (limit.windowMs === 0) return
  for (const [cell, amount] of ordered(account)) {
    if (leaves(cell, limit) > now) break
    account.log.delete(cell)
    account.used -= amount
  }
  if (account.log.size === 0) account.used = 0
}

export function add(account: Account, limit: WantedLimit, at: number, amount: number): void {
  account.used += amount
  if (limit.windowMs === 0) return
  const cell = cellOf(at, limit)
  const before = account.log.get(cell)
  account.log.set(cell, (before ?? 0) + amount)
  // Slots are in order of time. Amendments of the past are not.
  if (before === undefined && cell < account.last) account.amended = true
  account.last = Math.max(account.last, cell)
}

function ordered(account: Account): Map<number, number> {
  if (account.amended) account.log = new Map([...account.log].sort(([a], [b]) => a - b))
  account.amended = false
  return account.log
}

export function amend(
  account: Account,
  limit: WantedLimit,
  at: number,
  difference: number,
  now: number,
): void {
  let change = difference
  if (limit.windowMs === 0) change = Math.max(change, -account.used)
  else if (leaves(cellOf(at, limit), limit) <= now) change = 0
  else change = Math.max(change, -(account.log.get(cellOf(at, limit)) ?? 0))
  if (change !== 0) add(account, limit, at, change)
  account.accepted += difference
  if (!limit.paced) return
  account.due = Math.min(account.due + difference / limit.rate, now + limit.windowMs)
  account.even = Math.min(account.even + difference / limit.rate, now + limit.windowMs)
}

/** Records an amount taken without the store. It counts, but does not delay later slots again. */
export function remember(
  account: Account,
  limit: WantedLimit,
  at: number,
  amount: number,
  now: number,
): void {
  account.accepted += amount
  if (limit.windowMs > 0 && leaves(cellOf(at, limit), limit) <= now) return
  add(account, limit, at, amount)
  if (!limit.paced) return
  const due = Math.min(at + amount / limit.rate, now + limit.windowMs)
  account.due = Math.max(account.due, due)
  account.even = Math.max(account.even, due)
  // A reported amount replaces the estimate.
  let rest = amount - account.held
  account.held = Math.max(0, account.held - amount)
  for (const one of account.fading) {
    const part = partOf(one, now)
    if (rest <= 0 || part === 0) continue
    const less = Math.min(rest, one.amount * part)
    one.amount -= less / part
    rest -= less
  }
}

/** The share reserved in total, and for how many missing processes. */
export interface Kept {
  missing: number
  kept: number
}

/**
 * Missing processes use time division, and their times may be adjacent. So in any span they send at most this many
 * more calls than their share of it.
 */
const runAhead = ({ missing, kept }: Kept) => missing * Math.max(0, 1 - kept)

/** Accounts for missing processes, current and former, over the `ms` since the last update. */
export function keep(
  account: Account,
  { key, amount, paced, rate, windowMs }: WantedLimit,
  now: Kept,
  before: Kept & { released: number },
  { ms, at }: { ms: number; at: number },
): void {
  const part = rate * now.kept
  account.fading = account.fading.filter(({ till }) => till > at)
  if (paced) {
    const { released } = before
    if (released > 0 && account.held > 0) {
      const amount = account.held * Math.min(1, released / before.kept)
      fade(account, amount, amount / (rate * released), windowMs, at)
    }
    const ahead = key.startsWith('requests/') ? Math.max(0, runAhead(now) - runAhead(before)) : 0
    account.held = Math.min(account.held + part * ms + ahead, part * windowMs)
  } else if (now.kept < before.kept) account.held *= now.kept / before.kept
  else account.held += Math.max(0, amount - account.used - account.held) * (now.kept - before.kept)
}

/** Credit for a burst grows only while no calls wait anywhere. */
export function clip(account: Account, limit: WantedLimit, share: number, quiet: boolean, now: number): void {
  const spare = Math.max(LAW.latenessMs, account.seen - account.due)
  const credit = quiet ? (limit.burst - 1) / (limit.rate * share) : spare
  account.due = Math.min(Math.max(account.due, now - credit), now + limit.windowMs)
  if (quiet) account.seen = now
}

/** The next ticket follows the last one no sooner than the current rate allows. */
export function respace(account: Account, { paced, rate }: WantedLimit, amount: number): void {
  if (paced && amount > 0) account.due = Math.max(account.due, account.seen + amount / rate)
}

/** When the share of the rate grows, the next ticket is due sooner. What went ahead of the rate stays. */
export function stretchDue(account: Account, factor: number, from: number): void {
  const early = account.even - Math.max(account.due, from)
  if (account.due > from) account.due = from + (account.due - from) * factor
  account.even = Math.max(account.due, from) + early
}

/** How long all processes would have to wait until nothing is ahead of the rate, in ms. */
export const earlyMs = ({ due, even }: Account, now: number) => Math.max(0, even - Math.max(due, now))

export function fits(account: Account, limit: WantedLimit, amount: number, now: number): number {
  let at = limit.paced ? Math.max(now, account.due) : now
  const room = Math.max(0, limit.amount * (1 + 1e-9) - amount - unheard(account, now))
  let used = account.used
  if (used <= room) return at
  if (limit.windowMs === 0) return Math.max(at, limit.ends ?? now)
  for (const [cell, taken] of ordered(account)) {
    used -= taken
    if (used <= room) {
      at = Math.max(at, leaves(cell, limit))
      break
    }
  }
  return at
}
