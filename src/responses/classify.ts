/**
 * The one classifier: whatever a call threw or returned goes through here, and comes out as a refusal of
 * one of four kinds, as a transient failure, or as none of a limiter's business.
 *
 * Kinds are asked in the order of how much they exclude: what waiting cannot help (quota, oversize) before
 * what it can, since providers send both under one status and often under one code. In doubt the answer
 * is "not ours": a caller who sees a strange error is better off than one whose calls all stop.
 */

import { readAnswer, statusOf } from './error-text.ts'
import { untilPacificMidnightMs } from './google.ts'
import { headersOf, readLimits } from './headers.ts'
import { DAY, HOUR, MINUTE } from './provider.ts'
import { providers } from './providers.ts'
import { get, guard, known } from './safe-access.ts'
import type { Outcome, Verdict } from './verdict.ts'
import { readWait, serverNow } from './retry-after.ts'
import { dimensionOf, windowOf } from './limit-words.ts'

const KINDS = ['aborted', 'quota', 'oversize', 'overload', 'rate', 'transient'] as const
const LIMIT = /(?:\blimit(?: of)?:? ?|quotaValue:|\bof (?=[\d,]+ [\w ]*per ))(\d[\d,.]*)/i
const REQUESTED = /\brequested:? ?(\d[\d,.]*)/i

function numberAfter(words: RegExp, text: string): number {
  return parseFloat((words.exec(text)?.[1] ?? '').replaceAll(',', ''))
}

/** '429 rate_limit_exceeded: tokens per min' */
function reasonOf(status: number | undefined, text: string): string {
  const code = /:(?!ERR_|AI_)(\w+_\w+|\w+Exception|E[A-Z]+)$/m.exec(text)?.[1]
  // Messages enclose one another, too: the innermost is the provider's own.
  const said =
    /((in|out)put )?\w+ per \w+/.exec(text) ?? [...text.matchAll(/(?<=^message:)[^{\n]{1,99}/gm)].pop()
  return [[status, code].filter(Boolean).join(' '), said?.[0]].filter(Boolean).join(': ')
}

function judge(outcome: Outcome, wall: number): Verdict | undefined {
  const thrown = 'error' in outcome
  const source = thrown ? outcome.error : outcome.value
  if (!thrown && !(statusOf(source) && get(source, 'headers'))) return undefined
  const body = !thrown && outcome.body
  const { status, text } = readAnswer(source, body)
  const says = (kind: (typeof KINDS)[number] | 'slowDown') =>
    providers.some((provider) => provider[kind]?.test(text))
  let kind = KINDS.find(says)
  if (!kind || kind === 'aborted') return undefined

  const headers = headersOf([source, body])
  const now = serverNow(headers, wall)
  // Of several quotas that are used up, the day's is the one to wait for.
  const daily = /quotaId:.*PerDay[^]*/.exec(text)?.[0]
  const named = daily ?? text
  let waitMs = daily ? untilPacificMidnightMs(now) : readWait(headers, text, now)
  const limit = numberAfter(LIMIT, named)
  if (kind === 'rate') {
    // Only where nothing else tells, and only of windows: a bucket accepts again long before it is full.
    waitMs ??= readLimits(headers, wall).find((hint) => !hint.remaining && hint.perMs !== MINUTE)?.resetMs
    if (numberAfter(REQUESTED, text) > limit) kind = 'oversize'
    else if (waitMs! >= DAY || (waitMs! >= HOUR && /day|daily|month|quota/i.test(text))) kind = 'quota'
  }
  return known({
    kind,
    ...(kind !== 'transient' &&
      kind !== 'overload' && {
        of: dimensionOf(named),
        limit: limit > 0 ? limit : undefined,
        perMs: windowOf(named),
      }),
    slowDown: says('slowDown') || undefined,
    waitMs,
    status,
    reason: reasonOf(status, text),
  }) as Verdict
}

export function classify(outcome: Outcome, wall: number): Verdict | undefined {
  return guard(() => judge(outcome, wall))
}

/** Whether the body of a returned Response must be read before `classify`: it tells quota from rate. */
export function needsBody(value: unknown): boolean {
  return (
    !!statusOf(value) &&
    !get(value, 'bodyUsed') &&
    ['clone', 'text'].every((method) => typeof get(value, method) === 'function')
  )
}
