// What a process and the store say to each other: one request, one answer, one atomic step between them.
//
// Times are ms of the store's own clock since its state began, so that they stay short. The request carries all
// that a step needs (the limits as this process follows them, what comes back, what is wanted), so that the
// store keeps only counts and schedules, and the script that serves one limiter serves them all.

import type { Closing, Evidence, Learned } from 'llmiter'

/** Versions of the package that share a state must agree on this number. Others keep apart, by other keys. */
export const VERSION = 4

/** A limit in a request. */
export interface WantedLimit {
  key: string
  amount: number
  /** The amount of the options, without what was found by trying. */
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
  /** When the refused call left, by the store's clock: an earlier one than the last cut says nothing new. */
  sentAt: number
}

/** The provider's quota is used up for so long, or back (0). */
export interface QuotaReport {
  forMs: number
  /** The provider has said for how long. */
  known: boolean
}

export interface LeaseRequest {
  /** `machine:pid:random`: peers of the same machine can see whether it lives. */
  id: string
  /** The state that the times in this request belong to; empty at first. */
  gen: string
  /** It goes on at its own share until it hears an answer in time: its share is to be kept, as if it were missing. */
  alone: boolean
  /** For how long its share is to be kept when no more is heard of it; 0: not at all. */
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
  /** So many more slots of these amounts. Those beyond `waiting` are spare: for calls that are likely to come. */
  more: number
  each: number[]
  /** So many calls go in one slot: more than one where moments would lie closer than timers can tell apart. */
  lot: number
  /** How long an answer takes on its way back: slots that are due before are of no use. */
  fromMs: number
  /** So long ahead slots are useful to this process. */
  aheadMs: number
  /** How far ahead it may hold slots. */
  heldMs: number
  /** How long a request and its answer take together, lately at most: this process is not missing for it. */
  lagMs: number
  /** How many processes there are, as the user has said; 0 when it is not known. So many shares are kept without end. */
  declared: number
  /** What changes of what was taken at a time: given back, or used more. */
  amend: [key: string, at: number, difference: number][]
  /** What was taken while the store was away, or what it has forgotten, slots that are still held included. */
  past: [key: string, at: number, amount: number][]
  /** Amounts that the provider refused since the last request. */
  refused: number[]
  /** Calls that went here since the last request, and refusals that all are to judge. */
  evidence: Evidence
  /** At most so many in flight in all; 0: no limit. */
  concurrent: number
  inFlight: number
  permits: number
  close?: GateReport
  quota?: QuotaReport
  claim?: boolean
  open?: boolean
  /** Another may probe in its place. */
  retreat?: boolean
  learned?: Readonly<Record<string, Learned>>
  /** Processes of which a peer has seen that they are gone. */
  dead: string[]
  gone: boolean
  /** How many processes there were when this one last heard, unless it has left since: a new store has forgotten. */
  known: number
}

/** A request that asks for nothing and says nothing, but for what is given. */
export const leaseRequest = (
  given: Omit<LeaseRequest, 'first' | 'each' | 'more' | 'lot' | 'amend' | 'past' | 'refused' | 'evidence'>,
): LeaseRequest => ({
  ...{ first: [], each: [], more: 0, lot: 1, amend: [], past: [], refused: [] },
  evidence: { tickets: 0, refusals: 0, passing: false },
  ...given,
})

/** What all processes hear at once. */
export interface StoreNews {
  /** The life of this state: another one when the store has forgotten. */
  gen: string
  /** The number of the request after which it was so. */
  seq: number
  /** Counts the cuts: slots leased before one are void after it. */
  epoch: number
  gate: 'open' | 'closed' | 'probing'
  closing: Closing
  /** What was told of refusals by then: they are judged. */
  refusals: number
  until: number
  by: string
  /** The quota is used up until then, or else back; who has told it, and whether the provider has said until when. */
  quota: { until: number; known: boolean; by: string }
  learned: Record<string, Learned>
  /** Counts what has been learned. */
  lesson: number
}

export interface LeaseAnswer {
  now: number
  /** Epoch ms at which this state's time is 0. */
  base: number
  /** The store has gone back in time, and remembers nothing of this process after this. */
  since?: number
  news: StoreNews
  /** The times of the slots that now belong to the process. */
  slots: number[]
  /** From when on a request would be given more, if fewer were leased than wanted; else -1. */
  next: number
  permits: number
  processes: number
  rank: number
  /** So long ahead slots are leased: longer as processes multiply. */
  aheadMs: number
  /** So far ahead they are leased now: as far as the farthest process needs. */
  reachMs: number
  /** Of each limit: what counts now, and what was ever accepted. */
  used: number[]
  accepted: number[]
  /** What all processes have told since the state began. */
  evidence: Evidence
  /** Of each limit: how many ms of its rate have gone ahead of it in bursts. Who goes on alone waits so long first. */
  early: number[]
  /** When the limits of this process were first brought here. */
  order: number
  /** Of each limit: the configured amount that all follow. */
  followed: number[]
  /** Processes that were not heard of for a while. */
  suspects: string[]
  /** Processes of this version of the protocol use the same name on this store. They share nothing with this one. */
  otherVersion?: number
  /** The keys held something that is not ours, and the state begins anew: why it could not be read. */
  discarded?: string
}

type FieldTypes = Readonly<Record<string, 'string' | 'number' | 'object'>>

const NEWS: FieldTypes = {
  ...{ gen: 'string', seq: 'number', epoch: 'number', gate: 'string', closing: 'object', until: 'number' },
  ...{ refusals: 'number', quota: 'object' },
  ...{ by: 'string', learned: 'object', lesson: 'number' },
}
const ANSWER: FieldTypes = {
  ...{ now: 'number', base: 'number', news: 'object', slots: 'object', next: 'number', permits: 'number' },
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

/** What comes over a channel may be anything. */
export const isNews = (value: unknown): value is StoreNews =>
  hasFields(value, NEWS) && GATES.includes(value['gate'])

export const isAnswer = (value: unknown): value is LeaseAnswer =>
  hasFields(value, ANSWER) && isNews(value['news'])

/** How one process reaches the store. `done` is called once, at some time. */
export interface StoreTransport {
  ask(request: LeaseRequest, done: (error: unknown, answer?: LeaseAnswer) => void): void
  /** Hears what the store tells all, where it can; `ignored` hears of a message that is not ours. Returns its end. */
  listen(heard: (news: StoreNews, now: number) => void, ignored: (why: Error) => void): () => void
  close(): void
}

// The numbers that both sides of the line go by, in ms. The script is given them as they stand here.
export const LAW = {
  /** Slots are leased so long ahead. */
  aheadMs: 300,
  /** So many questions a second one store answers with ease: beyond, each process asks less often. */
  questionsPerMs: 8,
  /** Slots are leased so much further ahead than it takes until one may ask again. */
  reserve: 1.2,
  /** A slot that was leased for a call that is likely to come may be used for so long, and counts from the end of that time. */
  spareMs: 1000,
  /** Spare slots are leased so long ahead. */
  spareAheadMs: 50,
  /** Who had more than others lately is leased slots less far ahead, by this part at most. */
  turn: 0.7,
  /** The lateness of timers that is credited while somebody waits. */
  latenessMs: 20,
  /** A process that was not heard of for so long is missing: its share is kept for it… */
  missingMs: 1500,
  /** …for so long at most. So it is for those who shared a state that was lost. */
  keptMs: 63_000,
  /** What is left of the limit beside all that is kept counts as nothing below this part. */
  leastShare: 1e-6,
  /** All lease as far ahead as the farthest process of so long. */
  reachMs: 2000,
  /** Peers are asked to look after a process that was silent for so long. */
  suspectMs: 700,
  /** Who was gone for so long is forgotten, even if nobody was there to miss it. */
  forgottenMs: 600_000,
  /** A probe whose process is not heard of for so long is free again. */
  probeMs: 3000,
  /** So long all keep to their parts of the calls in flight, when somebody could not have its own… */
  partsMs: 1500,
  /** …and so long one has what the division leaves over. */
  turnMs: 10_000,
  /** So long before they are over, those who have not told what they hold are not waited for. */
  tellMs: 200,
  /** Until then, those who have told ask again so often whether the others have told too. */
  tellAgainMs: 50,
  /** Times that are no further apart are the same. */
  sameMs: 0.01,
  /** The log of a window has so many cells. */
  cells: 2048,
  /** Slots that are asked for after so long a quiet come by the slow start; after an outage the rate resumes here. */
  quietMs: 60_000,
  resumeAt: 0.9,
} as const
