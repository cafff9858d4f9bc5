// The rules of the store as a pure state machine. `lease.lua` implements the same in Lua, and a test compares the
// two.
//
// # How many processes share one limit, each working by itself
//
// For each limit, the store keeps what a single process would keep (`core/bucket.ts`): when the next ticket is
// due, and a log of the last window. One request advances them by k tickets at once and returns k times, the
// *slots*:
//
//   slot   s = max(now, due, the time at which the cap of the window leaves room)      for every limit
//   then   due ← max(due, now − credit) + cost · T,    log[s] += cost,    T = (W + J) / n
//
// So all slots of all processes together follow the rules of one limiter, whoever uses them. They are leased a
// short time ahead (0.3 s), for waiting and expected calls. This makes the number of requests independent of the
// rate. The owner uses a slot at its time, or returns it, which undoes its effect on the log and on `due`.
//
//   process A  ──│──────│─────────────│──────────▶      leased times
//   process B  ──────│──────│──│──────────────│──▶      on the store's clock
//                └─┬─┘ T
//
// Below the limit, calls arrive at any time and would rarely match a slot. So a process is also leased a few
// *spare* slots, at the same rate, which it may use within a second. The log counts them from the end of that
// time, until the process reports when they were used. While calls wait anywhere, spare slots are leased only a
// short time ahead.
//
// Fair turns: a process that was leased more than the least served one gets slots less far ahead. So the other one
// is served first, whether it is near the store or far from it.
//
// When a process dies, what it had leased is lost: at most 0.3 s of its own slots, plus its spare ones.
//
// A silent process may be dead, or cut off and still calling with its share of the limit. The store cannot tell
// the difference, so the share is reserved for a minute, unless a peer on the same machine has seen that the
// process is gone. Time without any requests does not count towards that minute: after an outage all processes are
// missing, but still expected.

import {
  type Account,
  add,
  amend,
  clip,
  earlyMs,
  fits,
  follow,
  forget,
  keep,
  type Kept,
  remember,
  respace,
  stretchDue,
  unheard,
} from './account.ts'
import type { Evidence } from '../../index.ts'
import { type Census, Members } from './members.ts'
import {
  type LeaseAnswer,
  LAW,
  type StoreNews,
  type LeaseRequest,
  type WantedLimit,
} from '../../distributed/protocol.ts'

/** A number that JSON can express, in place of −Infinity. */
const LONG_AGO = -1e12

interface State {
  base: number
  seen: number
  seq: number
  /** Time that passed while any process sent requests. */
  alive: number
  /** The share that was reserved for missing processes. */
  kept: Kept
  /** The part of the rates that is not reserved for missing processes. */
  share: number
  crowdedTill: number
  /** How far ahead slots were leased recently, and until when that counts. */
  reach: number
  reachTill: number
  /** Until this time, slots leased by a lost state are still in use, so this state leases none. */
  from: number
  rampStart: number
  rampFrom: number
  busyAt: number
  closedAt: number
  probeTill: number
  news: StoreNews
  accounts: Map<string, Account>
  evidence: Evidence
  /** The number of calls in flight that the provider accepts: when it was found, and how one more is tried. */
  crowd: { foundAt: number; finished: number; patience: number; grown: boolean }
}

export class Ledger {
  #state: State | undefined
  #members = new Members()
  readonly #publish: (news: StoreNews, now: number) => void

  constructor(publish: (news: StoreNews, now: number) => void = () => {}) {
    this.#publish = publish
  }

  /** Like FLUSHALL. */
  flush(): void {
    this.#state = undefined
    this.#members = new Members()
  }

  /** Handles one request at `time`, in epoch ms of the store. `gen` is the id for a new state. */
  ask(sent: LeaseRequest, time: number, gen: string): LeaseAnswer {
    const state = (this.#state ??= begin(sent, time, gen))
    // If the clock was set back, for example by a failover, the state's time continues, so that not all processes
    // have to wait.
    if (time - state.base < state.seen - 1000) state.base = time - state.seen
    const now = Math.max(time - state.base, state.seen)
    const prev = state.seen
    const passed = Math.min(now - prev, LAW.missingMs + 1)
    state.alive += passed
    state.seen = now
    state.news.seq = ++state.seq
    const request = countedFrom(sent, state.news.gen, now)
    if (now - prev > LAW.forgottenMs && request.declared === 0) this.#members.clear()
    // A process from another state, or from a later time of this one, must report its past before it gets slots.
    const stranger = request.gen !== '' && request.gen !== state.news.gen
    const present = this.#members.count(request, stranger, state.alive, now)
    const heard = present.heard < 0 ? prev : present.heard
    const rolledBack = !stranger && request.heard > heard + LAW.sameMs
    const aheadMs = Math.max(LAW.aheadMs, (LAW.reserve * present.processes) / LAW.questionsPerMs)
    // All processes lease as far ahead as the furthest one. Otherwise that one would take everything.
    const wishedMs = Math.max(aheadMs, request.aheadMs)
    if (wishedMs >= state.reach || now > state.reachTill) {
      state.reach = wishedMs
      state.reachTill = now + LAW.reachMs
    }
    const horizonMs = state.reach
    const heldMs = Math.max(horizonMs, request.heldMs)
    if (stranger && request.known > 1 && now < heldMs) state.from = heldMs
    if (rolledBack && request.known > 1 && now >= state.from) state.from = now + heldMs
    // All held slots are known, so there is no need to wait for them.
    if (present.complete) state.from = Math.min(state.from, now)
    // Nothing may be left if all known processes are missing and a new one asks.
    const left = 1 - present.kept
    const share = left < LAW.leastShare ? state.share : left
    const quiet = now > state.crowdedTill && present.missing === 0 && state.news.gate === 'open'
    const newest = { id: request.id, order: request.order < 0 ? time : request.order }
    const isHere = (id: string) => this.#members.has(id)
    const accounts = request.limits.map((limit) => this.#account(state, limit, request))
    const limits = request.limits.map((limit, i) => follow(accounts[i]!, limit, newest, isHere))
    limits.forEach((limit, i) => forget(accounts[i]!, limit, now))
    // Times of another state are meaningless here. Its members will report their past again.
    const told = request.gen === state.news.gen && !rolledBack
    for (const [key, at, amount] of told ? request.past : []) {
      const i = limits.findIndex((limit) => limit.key === key)
      if (i >= 0) remember(accounts[i]!, limits[i]!, Math.min(at, now + heldMs), amount, now)
    }
    for (const [key, at, difference] of told ? request.amend : []) {
      const i = limits.findIndex((limit) => limit.key === key)
      if (i >= 0) amend(accounts[i]!, limits[i]!, at, difference, now)
    }
    limits.forEach((limit, i) => {
      const account = accounts[i]!
      account.accepted -= request.refused[i] ?? 0
      keep(account, limit, present, { ...state.kept, released: present.released }, { ms: passed, at: now })
      stretchDue(account, state.share / share, Math.max(now, state.from))
      if (limit.paced) clip(account, limit, share, quiet, now)
      if (state.from <= now + LAW.tellMs) account.due = Math.max(account.due, state.from)
    })
    state.kept = { missing: present.missing, kept: present.kept }
    state.share = share
    const found = this.#crowd(state, request, present, now)
    const opens = this.#gate(state, request, found, now)
    // The rate was just lowered, which also applies to the probe.
    if (opens) limits.forEach((limit, i) => respace(accounts[i]!, limit, request.each[i] ?? 0))
    // A process that must first report its past gets nothing.
    const nothing = stranger || rolledBack || left < LAW.leastShare
    const asked = { ...request, limits, ...(nothing && { first: [] }) }
    const { slots, next } = this.#lease(state, asked, accounts, present.busy, horizonMs, now)
    const most = Math.min(request.concurrent || Infinity, state.news.most || Infinity)
    const permits = this.#members.permit(request, most, present.busy, now)
    const permitted = this.#members.permits
    if (request.gone) this.#members.drop(request.id)
    return {
      now,
      base: state.base,
      ...(rolledBack && { since: heard }),
      news: { ...state.news },
      slots,
      next,
      permits,
      permitted,
      processes: present.processes,
      rank: present.rank,
      aheadMs,
      reachMs: horizonMs,
      used: accounts.map((account) => account.used + unheard(account, now)),
      early: accounts.map((account) => earlyMs(account, now)),
      accepted: accounts.map(({ accepted }) => accepted),
      evidence: { ...state.evidence },
      order: newest.order,
      followed: limits.map(({ configured }, i) => accounts[i]!.followed?.configured ?? configured),
      suspects: present.suspects,
    }
  }

  #account(state: State, limit: WantedLimit, { known }: LeaseRequest): Account {
    let account = state.accounts.get(limit.key)
    if (!account) {
      // A process that shared the limit before has just used some of it.
      const { seen } = state
      const due = known > 0 ? seen : LONG_AGO
      const even = known > 0 && limit.paced ? seen + (limit.burst - 1) / limit.rate : due
      const empty = {
        even,
        used: 0,
        accepted: 0,
        held: 0,
        fading: [],
        day: '',
        log: new Map(),
        amended: false,
        last: -1,
        followed: undefined,
      }
      account = { due, seen, ...empty }
      state.accounts.set(limit.key, account)
    }
    if (limit.day !== undefined && limit.day > account.day) {
      account.day = limit.day
      account.used = 0
    }
    return account
  }

  /**
   * The number of calls in flight: the rules of `limit-set.ts`, for all processes together. Returns whether a
   * limit was found.
   */
  #crowd({ crowd, news }: State, request: LeaseRequest, { heard, permits }: Census, now: number): boolean {
    const { concurrent, inFlight, ended, tooMany } = request
    const all = this.#members.permits
    const unknown = news.most === 0
    if (!unknown && heard < crowd.foundAt) {
      // Its calls in flight beyond those that it had reported were accepted, too.
      news.most += Math.max(0, inFlight - permits)
    } else if (tooMany > 0) {
      if (unknown && concurrent === 0) {
        news.most = Math.max(1, all - permits + inFlight)
        crowd.foundAt = now
      } else news.most = Math.max(1, Math.min(unknown ? concurrent : news.most, all) - tooMany)
      crowd.patience = crowd.grown ? Math.min(2 * crowd.patience, LAW.mostPatience) : LAW.patience
      crowd.grown = false
      crowd.finished = 0
    } else if (!unknown) {
      crowd.finished += ended
      if (crowd.finished > crowd.patience * news.most && all >= news.most) {
        crowd.finished = 0
        crowd.grown = true
        news.most++
      }
    }
    return unknown && news.most > 0
  }

  #gate(state: State, request: LeaseRequest, found: boolean, now: number): boolean {
    const { id, heard, evidence, quota, close, claim, open, retreat, learned } = request
    const { news } = state
    // A new state is news too, so that members of the previous one report immediately.
    const before = state.seq === 1 ? '' : `${news.epoch}${news.gate}${news.lesson} ${news.quota.until}`
    if (learned) {
      news.learned = { ...learned }
      news.lesson++
    }
    if (quota) news.quota = { until: quota.forMs > 0 ? now + quota.forMs : 0, known: quota.known, by: id }
    // A process that has not received the closing yet reports about the time before it.
    const timely = heard >= state.closedAt
    state.evidence = {
      tickets: state.evidence.tickets + evidence.tickets,
      refusals: state.evidence.refusals + (timely ? evidence.refusals : 0),
      passing: state.evidence.passing || (timely && evidence.passing),
    }
    if (close && (news.gate === 'open' || close.sentAt >= state.closedAt)) {
      news.epoch++
      news.gate = 'closed'
      news.closing = close.closing
      news.until = now + close.forMs
      news.by = ''
      news.refusals = state.evidence.refusals
      state.evidence = { ...state.evidence, passing: false }
      state.closedAt = now
    }
    if (news.gate === 'probing' && news.by !== id && now > state.probeTill) news.gate = 'closed'
    const probes = news.gate === 'probing' && news.by === id
    if (probes) {
      state.probeTill = now + LAW.probeMs
      if (open || retreat) [news.gate, news.by] = [open ? 'open' : 'closed', '']
      if (open) {
        state.rampStart = now
        state.rampFrom = LAW.resumeAt
        state.crowdedTill = now + 1000
      }
    } else if (claim && news.gate === 'closed' && now >= news.until - LAW.latenessMs) {
      news.gate = 'probing'
      news.by = id
      state.probeTill = now + LAW.probeMs
    }
    const moved = `${news.epoch}${news.gate}${news.lesson} ${news.quota.until}` !== before
    if ((moved && news.gate !== 'probing') || found) this.#publish({ ...news }, now)
    return probes && open === true
  }

  #lease(
    state: State,
    { id, limits, ramp, first, more, each, lot, fromMs, waiting }: LeaseRequest,
    accounts: Account[],
    busy: number,
    aheadMs: number,
    now: number,
  ): Pick<LeaseAnswer, 'slots' | 'next'> {
    const { news, share } = state
    const slots: number[] = []
    if (first.length === 0) return { slots, next: -1 }
    if (news.gate !== 'open' && (news.gate !== 'probing' || news.by !== id)) return { slots, next: -1 }
    if (state.from > now + LAW.tellMs) return { slots, next: now + LAW.tellAgainMs }
    if (now - state.busyAt > LAW.quietMs) {
      state.rampStart = now
      state.rampFrom = ramp.from
    }
    state.busyAt = now
    const paces = limits.map(({ paced, rate }, i) => (paced ? (each[i] ?? 0) / (rate * share) : 0))
    const spacing = Math.max(...paces)
    // No process takes more than twice its part of what lies ahead. Otherwise the first to ask would take
    // everything.
    const fair = busy > 1 && spacing > 0 ? Math.max(1, Math.ceil((2 * aheadMs) / (busy * spacing))) : Infinity
    const wanted = news.gate === 'open' ? Math.min(1 + more, fair) : 1
    // Fair turns: a process that is ahead of the least served one gets slots less far ahead.
    const mostMs = 2 * Math.max(spacing, (2 * aheadMs) / busy)
    const turnMs = aheadMs * (1 - (LAW.turn * this.#members.turn(id, mostMs)) / mostMs)
    // A process that asks only for spare slots leaves room for the others.
    const reachMs = waiting === 0 && busy > 1 ? Math.min(turnMs, LAW.spareAheadMs + fromMs) : turnMs
    let next = -1
    let last = now
    while (slots.length < wanted) {
      const amounts = slots.length === 0 ? first : each
      const holdMs = slots.length * lot < waiting ? 0 : LAW.spareMs
      const at = this.#fits(limits, accounts, amounts, now + fromMs, now)
      // A slot after midnight belongs to the next day.
      const ends = limits.some(
        (limit, i) => (amounts[i] ?? 0) > 0 && limit.ends !== undefined && at + holdMs >= limit.ends,
      )
      if (at > now + reachMs || ends) {
        next = at - reachMs
        if (holdMs === 0) last = at + aheadMs
        break
      }
      this.#take(state, { limits, ramp }, accounts, amounts, { at, until: at + holdMs })
      slots.push(at)
      last = at
    }
    this.#members.served(id, slots.length * spacing, slots.length * lot < waiting)
    if (waiting > 0 && last > now) state.crowdedTill = Math.max(state.crowdedTill, last)
    return { slots, next }
  }

  #fits(limits: WantedLimit[], accounts: Account[], amounts: number[], from: number, now: number): number {
    let at = from
    for (const [i, limit] of limits.entries()) {
      const amount = amounts[i] ?? 0
      if (amount > 0) at = Math.max(at, fits(accounts[i]!, limit, amount, now))
    }
    return at
  }

  /**
   * Leases a slot that may be used until then. It counts from the end of that time, until the process reports when
   * it was used.
   */
  #take(
    state: State,
    { limits, ramp }: Pick<LeaseRequest, 'limits' | 'ramp'>,
    accounts: Account[],
    amounts: number[],
    { at, until }: { at: number; until: number },
  ): void {
    for (const [i, limit] of limits.entries()) {
      const amount = amounts[i] ?? 0
      if (amount === 0) continue
      const account = accounts[i]!
      add(account, limit, until, amount)
      account.accepted += amount
      account.seen = Math.max(account.seen, at)
      if (!limit.paced) continue
      const step = amount / (limit.rate * state.share)
      const behind = Math.min(step, Math.max(0, at - account.due))
      account.due += behind + stretch(step - behind, state, ramp.ms, at)
      account.even = Math.max(account.even, at) + step
    }
  }
}

/** A process measures its silence from when it sent this request. If that is too long ago, it uses its own share by now. */
function countedFrom(sent: LeaseRequest, gen: string, now: number): LeaseRequest {
  const since = sent.gen === gen && sent.sentAt >= 0 ? sent.sentAt : now
  const lateMs = Math.max(0, now - since - sent.lagMs / 2)
  const isAlone = lateMs > LAW.missingMs + sent.lagMs
  return { ...sent, lagMs: sent.lagMs - lateMs, ...(isAlone && { alone: true, first: [] }) }
}

function begin({ known }: LeaseRequest, time: number, gen: string): State {
  return {
    base: time,
    seen: 0,
    seq: 0,
    alive: 0,
    kept: { missing: 0, kept: 0 },
    share: 1,
    crowdedTill: -1,
    reach: 0,
    reachTill: -1,
    from: LONG_AGO,
    // A fleet that comes back does not need a slow start.
    rampStart: LONG_AGO,
    rampFrom: 1,
    busyAt: known > 0 ? 0 : LONG_AGO,
    closedAt: -1,
    probeTill: 0,
    news: {
      gen,
      seq: 0,
      epoch: 1,
      gate: 'open',
      closing: { kind: 'rate', blamed: [], told: false, tries: 0 },
      refusals: 0,
      quota: { until: 0, known: false, by: '' },
      until: 0,
      by: '',
      learned: {},
      lesson: 0,
      most: 0,
    },
    accounts: new Map(),
    evidence: { tickets: 0, refusals: 0, passing: false },
    crowd: { foundAt: -1, finished: 0, patience: LAW.patience, grown: false },
  }
}

function stretch(ms: number, { rampStart, rampFrom }: State, rampMs: number, at: number): number {
  const left = rampStart + rampMs - at
  if (left <= 0 || ms <= 0) return ms
  const share = 1 - ((1 - rampFrom) * left) / rampMs
  return Math.min(ms / share, ms + ((1 - share) * left) / 2)
}
