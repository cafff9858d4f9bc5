// The messages between a process and the store: one request and one answer per atomic step.
//
// Times are ms of the store's clock since its state began, so that they stay short. The request contains
// everything that a step needs (the limits as this process follows them, returned amounts, wanted slots). So the
// store keeps only counts and schedules, and one script serves all limiters.

import type { Closing, Evidence, Learned } from 'llmiter'

/** Versions of the package that share a state must have the same number. Others use different keys. */
export const VERSION = 5

/** A limit in a request. */
export interface WantedLimit {
  key: string
  amount: number
  /** The configured amount, without anything learned. */
  configured: number
  /** W + J; 0 for a day by the calendar. */
  windowMs: number
  burst: number
  paced: boolean
  /** Units per ms. */
  rate: number
  /** The calendar day on the store's clock, and when it ends. */
  day?: string
  ends?: number
}

export interface GateReport {
  closing: Closing
  forMs: number
  /** When the refused call was sent, by the store's clock. A call sent before the last cut says nothing new. */
  sentAt: number
}

/** How long the provider's quota is used up, in ms. 0: it is back. */
export interface QuotaReport {
  forMs: number
  /** Whether the provider named the time. */
  known: boolean
}

export interface LeaseRequest {
  /** `machine:pid:random`. Peers on the same machine can check whether it is alive. */
  id: string
  /** The id of the state that the times in this request refer to. Empty at first. */
  gen: string
  /**
   * The process works with its own share until an answer arrives in time. The store must reserve that share for
   * it.
   */
  alone: boolean
  /** When this was sent, by the store's clock, or -1 before the first answer. */
  sentAt: number
  /** How long to reserve its share after its last request. 0: not at all. */
  keepMs: number
  /** The store's time of the last answer, or -1. A store that does not remember it has lost recent state. */
  heard: number
  limits: WantedLimit[]
  /**
   * When these limits were first reported to the store, in epoch ms of the store, or -1 if unknown. The newest
   * limits apply.
   */
  order: number
  ramp: { ms: number; from: number }
  /** Calls that wait here now. */
  waiting: number
  /** The amounts of the first wanted slot. Empty if none is wanted. */
  first: number[]
  /** How many more slots of these amounts. Slots beyond `waiting` are spare, for calls that are likely to arrive. */
  more: number
  each: number[]
  /** How many calls share one slot: more than one if timers could not tell the slots apart. */
  lot: number
  /** How long an answer takes to arrive. Slots that are due before that are useless. */
  fromMs: number
  /** How far ahead slots are useful to this process. */
  aheadMs: number
  /** How far ahead it may hold slots. */
  heldMs: number
  /** The longest recent round trip. A process does not count as missing while a request may take this long. */
  lagMs: number
  /** The configured number of processes; 0 when unknown. The store keeps this many shares without a time limit. */
  declared: number
  /** Corrections of what was taken at a time: refunds or overuse. */
  amend: [key: string, at: number, difference: number][]
  /** What was taken while the store was down, or what it lost, including slots that are still held. */
  past: [key: string, at: number, amount: number][]
  /** The amounts that the provider refused since the last request. */
  refused: number[]
  /** Calls sent here since the last request, and refusals that all processes must judge. */
  evidence: Evidence
  /** The maximum number of calls in flight over all processes. 0: no limit. */
  concurrent: number
  inFlight: number
  permits: number
  /**
   * Calls that ended here since the last request, and of those, the calls that the provider refused as too many at
   * once.
   */
  ended: number
  tooMany: number
  close?: GateReport
  quota?: QuotaReport
  claim?: boolean
  open?: boolean
  /** Another process may probe instead. */
  retreat?: boolean
  learned?: Readonly<Record<string, Learned>>
  /** Processes that a peer found to be gone. */
  dead: string[]
  gone: boolean
  /** The last known number of processes, unless this one has left since. A new store has no record of it. */
  known: number
}

/** An empty request, with the given fields. */
export const leaseRequest = (
  given: Omit<
    LeaseRequest,
    'first' | 'each' | 'more' | 'lot' | 'amend' | 'past' | 'refused' | 'ended' | 'tooMany' | 'evidence'
  >,
): LeaseRequest => ({
  ...{ first: [], each: [], more: 0, lot: 1, amend: [], past: [], refused: [], ended: 0, tooMany: 0 },
  evidence: { tickets: 0, refusals: 0, passing: false },
  ...given,
})

/** News that all processes hear at the same time. */
export interface StoreNews {
  /** The id of this state. It changes when the store has lost its memory. */
  gen: string
  /** The number of the request that led to this news. */
  seq: number
  /** Counts the cuts: slots leased before one are void after it. */
  epoch: number
  gate: 'open' | 'closed' | 'probing'
  closing: Closing
  /** Refusals reported before this time are judged. */
  refusals: number
  until: number
  by: string
  /**
   * Until when the quota is used up, who reported it, and whether the provider named the time. Missing if it is
   * not used up.
   */
  quota: { until: number; known: boolean; by: string }
  learned: Record<string, Learned>
  /** Counts what has been learned. */
  lesson: number
  /**
   * The maximum number of calls in flight over all processes that the provider accepts, as its refusals show. 0:
   * unknown.
   */
  most: number
}

export interface LeaseAnswer {
  now: number
  /** Epoch ms at which this state's time is 0. */
  base: number
  /** The store has lost recent state: it remembers nothing about this process after this time. */
  since?: number
  news: StoreNews
  /** The times of the slots that now belong to the process. */
  slots: number[]
  /** When a request would get more, if fewer slots were leased than wanted. Otherwise -1. */
  next: number
  permits: number
  /** The sum over all processes. If nothing limits them, how many calls they last had in flight. */
  permitted: number
  processes: number
  rank: number
  /** How far ahead slots are leased: farther with more processes. */
  aheadMs: number
  /** How far ahead they are leased now: as far as the farthest process needs. */
  reachMs: number
  /** For each limit: the amount that counts now, and the amount accepted since the state began. */
  used: number[]
  accepted: number[]
  /** The evidence of all processes since the state began. */
  evidence: Evidence
  /**
   * For each limit: how many ms of its rate were used ahead in bursts. A process on its own waits this long first.
   */
  early: number[]
  /** When the limits of this process were first reported here. */
  order: number
  /** For each limit: the configured amount that all processes follow. */
  followed: number[]
  /** Processes that sent no request for a while. */
  suspects: string[]
  /**
   * Processes with this version of the protocol use the same name on this store. They share nothing with this
   * process.
   */
  otherVersion?: number
  /** Why the keys could not be read: they held foreign data, so the state starts anew. */
  discarded?: string
}

type FieldTypes = Readonly<Record<string, 'string' | 'number' | 'object'>>

const NEWS: FieldTypes = {
  ...{ gen: 'string', seq: 'number', epoch: 'number', gate: 'string', closing: 'object', until: 'number' },
  ...{ refusals: 'number', quota: 'object' },
  ...{ by: 'string', learned: 'object', lesson: 'number', most: 'number' },
}
const ANSWER: FieldTypes = {
  ...{
    now: 'number',
    base: 'number',
    news: 'object',
    slots: 'object',
    next: 'number',
    permits: 'number',
    permitted: 'number',
  },
  ...{
    processes: 'number',
    rank: 'number',
    aheadMs: 'number',
    reachMs: 'number',
    used: 'object',
    accepted: 'object',
  },
  ...{ early: 'object', evidence: 'object' },
  ...{ suspects: 'object', order: 'number', followed: 'object' },
}
const GATES: readonly unknown[] = ['open', 'closed', 'probing'] satisfies StoreNews['gate'][]

function hasFields(value: unknown, types: FieldTypes): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const found = value as Record<string, unknown>
  return Object.entries(types).every(([key, type]) => typeof found[key] === type && found[key] !== null)
}

/** Checks a message, because any message may arrive on a channel. */
export const isNews = (value: unknown): value is StoreNews =>
  hasFields(value, NEWS) && GATES.includes(value['gate'])

export const isAnswer = (value: unknown): value is LeaseAnswer =>
  hasFields(value, ANSWER) && isNews(value['news'])

/** How one process reaches the store. `done` is called exactly once. */
export interface StoreTransport {
  ask(request: LeaseRequest, done: (error: unknown, answer?: LeaseAnswer) => void): void
  /**
   * Listens to the store's news, if supported. `ignored` gets foreign messages. Returns a function that stops
   * listening.
   */
  listen(heard: (news: StoreNews, now: number) => void, ignored: (why: Error) => void): () => void
  close(): void
}

// The constants that both sides use, in ms. The script receives them from here.
export const LAW = {
  /** How far ahead slots are leased. */
  aheadMs: 300,
  /** How many requests per ms one store handles easily. Above that, each process asks less often. */
  questionsPerMs: 8,
  /** How much farther ahead slots are leased than the time until a process may ask again. */
  reserve: 1.2,
  /** How long a spare slot may be used. The store counts it from the end of that time. */
  spareMs: 1000,
  /** How far ahead spare slots are leased. */
  spareAheadMs: 50,
  /** A process that recently had more than others gets slots less far ahead, reduced by at most this share. */
  turn: 0.7,
  /** The timer lateness that is credited while calls wait. */
  latenessMs: 20,
  /** A process that was silent for this long is missing. Its share is reserved for it, at most for `keptMs`. */
  missingMs: 1500,
  /**
   * The maximum time that the share of a missing process is reserved. Also applies to the processes of a lost
   * state.
   */
  keptMs: 63_000,
  /** The part of the limit outside all reserved shares counts as nothing below this share. */
  leastShare: 1e-6,
  /** All processes lease as far ahead as the farthest one within this time. */
  reachMs: 2000,
  /** After this silence the store asks peers whether a process is alive. */
  suspectMs: 700,
  /** A process gone for this long is forgotten, even if no other process noticed. */
  forgottenMs: 600_000,
  /** A probe is free again when its process was silent for this long. */
  probeMs: 3000,
  /** How long all processes keep to their shares of the calls in flight after one could not get its own. */
  partsMs: 1500,
  /** How long one process has the remainder of the division. */
  turnMs: 10_000,
  /**
   * After this many rounds of calls without a refusal as too many at once, one more is tried. Doubles when that
   * was too many.
   */
  patience: 10,
  mostPatience: 160,
  /** This long before the end of that, the store stops waiting for processes that did not report what they hold. */
  tellMs: 200,
  /** Until then, processes that reported ask this often whether the others have reported too. */
  tellAgainMs: 50,
  /** Times at most this far apart are equal. */
  sameMs: 0.01,
  /** How many cells the log of a window has. */
  cells: 2048,
  /** The idle time after which slots follow the slow start. After an outage the rate resumes at this share. */
  quietMs: 60_000,
  resumeAt: 0.9,
} as const
