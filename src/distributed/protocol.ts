// The messages between a process and the store: one request, one answer, one atomic step between them.
//
// Times are ms of the store's own clock since its state began, so that they stay short. The request carries all
// that a step needs (the limits as this process follows them, what comes back, what is wanted), so that the
// store keeps only counts and schedules, and the script that serves one limiter serves them all.

import type { Closing, Evidence, Learned } from 'llmiter'

/** Versions of the package that share a state must agree on this number. Others keep apart, by other keys. */
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
  /** The calendar day by the store's clock, and when it ends. */
  day?: string
  ends?: number
}

export interface GateReport {
  closing: Closing
  forMs: number
  /** When the refused call left, by the store's clock. A call that left before the last cut is no news. */
  sentAt: number
}

/** How long the provider's quota is used up, in ms; 0: it is back. */
export interface QuotaReport {
  forMs: number
  /** The provider said for how long. */
  known: boolean
}

export interface LeaseRequest {
  /** `machine:pid:random`: peers of the same machine can see whether it lives. */
  id: string
  /** The state that the times in this request belong to; empty at first. */
  gen: string
  /** The process works on its own share until an answer arrives in time: the store must keep that share for it. */
  alone: boolean
  /** How long to keep its share after its last request; 0: not at all. */
  keepMs: number
  /** The store's time of the last answer; -1 without one. A store that does not remember it has gone back in time. */
  heard: number
  limits: WantedLimit[]
  /** When these limits were first brought to the store, epoch ms of the store; -1 until it has said so. The newest win. */
  order: number
  ramp: { ms: number; from: number }
  /** Calls that wait here now. */
  waiting: number
  /** The amounts of the first slot that is wanted; none when empty. */
  first: number[]
  /** How many more slots of these amounts. Slots beyond `waiting` are spare: for calls that are likely to come. */
  more: number
  each: number[]
  /** How many calls go in one slot: more than one where timers could not tell the slots apart. */
  lot: number
  /** How long an answer takes on its way back: slots that are due before are of no use. */
  fromMs: number
  /** How far ahead slots are useful to this process. */
  aheadMs: number
  /** How far ahead it may hold slots. */
  heldMs: number
  /** The longest recent round trip: a process is not missing while a request may take this long. */
  lagMs: number
  /** The configured number of processes; 0 when unknown. The store keeps this many shares without a time limit. */
  declared: number
  /** Corrections of what was taken at a time: given back, or more used. */
  amend: [key: string, at: number, difference: number][]
  /** What was taken while the store was away, or what it forgot, including slots that are still held. */
  past: [key: string, at: number, amount: number][]
  /** Amounts that the provider refused since the last request. */
  refused: number[]
  /** Calls sent here since the last request, and refusals that all processes must judge. */
  evidence: Evidence
  /** The most calls in flight in all processes; 0: no limit. */
  concurrent: number
  inFlight: number
  permits: number
  /** Calls that ended here since the last request, and those of them that the provider refused as too many at once. */
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
  /** The number of processes as last heard, unless this one has left since: a new store has no memory of it. */
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
  /** The id of this state: it changes when the store has lost its memory. */
  gen: string
  /** The number of the request that led to this news. */
  seq: number
  /** Counts the cuts: slots leased before one are void after it. */
  epoch: number
  gate: 'open' | 'closed' | 'probing'
  closing: Closing
  /** Refusals reported before this are judged. */
  refusals: number
  until: number
  by: string
  /** Until when the quota is used up, if it is; who reported it, and whether the provider named the time. */
  quota: { until: number; known: boolean; by: string }
  learned: Record<string, Learned>
  /** Counts what has been learned. */
  lesson: number
  /** The most calls in flight in all processes together that the provider accepts, as its refusals show; 0: unknown. */
  most: number
}

export interface LeaseAnswer {
  now: number
  /** Epoch ms at which this state's time is 0. */
  base: number
  /** The store has gone back in time: it remembers nothing about this process after this. */
  since?: number
  news: StoreNews
  /** The times of the slots that now belong to the process. */
  slots: number[]
  /** When a request would get more, if fewer slots were leased than wanted; else -1. */
  next: number
  permits: number
  /** The same of all processes; where nothing limits them, how many they last had in flight. */
  permitted: number
  processes: number
  rank: number
  /** How far ahead slots are leased: farther with more processes. */
  aheadMs: number
  /** How far ahead they are leased now: as far as the farthest process needs. */
  reachMs: number
  /** Of each limit: what counts now, and what was ever accepted. */
  used: number[]
  accepted: number[]
  /** The evidence of all processes since the state began. */
  evidence: Evidence
  /** Of each limit: how many ms of its rate went ahead in bursts. A process on its own waits this long first. */
  early: number[]
  /** When the limits of this process were first brought here. */
  order: number
  /** Of each limit: the configured amount that all follow. */
  followed: number[]
  /** Processes that sent no request for a while. */
  suspects: string[]
  /** Processes of this version of the protocol use the same name on this store. They share nothing with this one. */
  otherVersion?: number
  /** The keys held foreign data and the state starts afresh: why it could not be read. */
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

/** Any message may arrive on a channel. */
export const isNews = (value: unknown): value is StoreNews =>
  hasFields(value, NEWS) && GATES.includes(value['gate'])

export const isAnswer = (value: unknown): value is LeaseAnswer =>
  hasFields(value, ANSWER) && isNews(value['news'])

/** How one process reaches the store. `done` is called exactly once. */
export interface StoreTransport {
  ask(request: LeaseRequest, done: (error: unknown, answer?: LeaseAnswer) => void): void
  /** Listens to the store's news, where it can; `ignored` gets foreign messages. Returns a function that stops it. */
  listen(heard: (news: StoreNews, now: number) => void, ignored: (why: Error) => void): () => void
  close(): void
}

// The constants that both sides use, in ms. The script receives them from here.
export const LAW = {
  /** How far ahead slots are leased. */
  aheadMs: 300,
  /** How many requests a second one store answers with ease. Above that, each process asks less often. */
  questionsPerMs: 8,
  /** How much farther ahead slots are leased than the time until a process may ask again. */
  reserve: 1.2,
  /** How long a spare slot may be used. It counts from the end of that time. */
  spareMs: 1000,
  /** How far ahead spare slots are leased. */
  spareAheadMs: 50,
  /** A process that recently had more than others gets slots less far ahead, by at most this share. */
  turn: 0.7,
  /** The timer lateness that is credited while calls wait. */
  latenessMs: 20,
  /** A process that was silent for this long is missing: its share is kept for it… */
  missingMs: 1500,
  /** …for at most this long. The same holds for the processes of a lost state. */
  keptMs: 63_000,
  /** The rest of the limit beside all kept shares counts as nothing below this share. */
  leastShare: 1e-6,
  /** All processes lease as far ahead as the farthest one within this time. */
  reachMs: 2000,
  /** After this silence the store asks peers whether a process is alive. */
  suspectMs: 700,
  /** A process gone for this long is forgotten, even if no other process noticed. */
  forgottenMs: 600_000,
  /** A probe is free again when its process was silent for this long. */
  probeMs: 3000,
  /** How long all processes keep to their shares of the calls in flight, when one could not have its own… */
  partsMs: 1500,
  /** …and how long one process has the remainder of the division. */
  turnMs: 10_000,
  /** After so many rounds of calls without a refusal as too many at once, one more is tried. Doubles when that was too many. */
  patience: 10,
  mostPatience: 160,
  /** This long before the end of that, processes that did not report what they hold are no longer waited for. */
  tellMs: 200,
  /** Until then, processes that reported ask this often whether the others have reported too. */
  tellAgainMs: 50,
  /** Times at most this far apart are equal. */
  sameMs: 0.01,
  /** How many cells the log of a window has. */
  cells: 2048,
  /** After this much quiet, slots follow the slow start; after an outage the rate resumes at this share. */
  quietMs: 60_000,
  resumeAt: 0.9,
} as const
