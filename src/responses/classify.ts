/**
 * Classifies everything that a call threw or returned: as a refusal of one of four kinds, as a transient failure,
 * or as something that does not concern a limiter.
 *
 * The rules are in provider-rules.ts. In doubt, an answer does not concern the limiter: an unexpected error for
 * one caller does less harm than stopping all calls.
 */

import { DAY, HOUR, MINUTE } from '../lib/units.ts'
import { enclosed, readAnswer, statusOf } from './error-text.ts'
import { headersOf, readLimits } from './headers.ts'
import { dimensionOf, windowOf } from './limit-words.ts'
import { rules, slowDown } from './provider-rules.ts'
import { readWait, serverNow, untilPacificMidnightMs } from './retry-after.ts'
import { get, guard, isObject, known } from './safe-access.ts'
import type { Outcome, RefusalKind, Verdict } from './verdict.ts'

const LIMIT = /(?:\blimit(?: of)?:? ?|quotaValue:|quota_limit_value:|\bof (?=[\d,]+ [\w ]*per ))(\d[\d,.]*)/i
const REQUESTED = /\b(?:requested:?|request of) ?(?:[~≈]|about |approx\w*\.? )? ?(\d[\d,.]*)/i
/** Matches echoes of the request. They must not reach logs and spans. */
const ECHOED =
  /"[^"]*("|$)|“[^”]*(”|$)|`[^`]*(`|$)|(?<!\w)'[^']*('(?!\w)|$)|\b(content|prompt|input|messages?|text|query)s?\b ?[:=].*/gi
/** Matches text about limits. The rest of a message may be the caller's own words and is left out. */
const TELLING =
  /\b(limit|quota|rate|tokens?|requests?|capacity|overload|credits?|balance|billing|budget|spend|spent|tier|busy|quick|usage|wait|retry|again|resets?)|\btoo \w+|[限额額频頻余餘残欠]|초과|한도|부족|лимит|квот|kontingent|l[ií]mit|cuota|saldo/i
const CLAUSES = /[:;!?\n]\s|\.(?:\s|$)|[。；：！]/
const LONG = /day|daily|week|month|quota/i
/** The limit in our own words, so that no text of the caller can appear in it. */
const PER =
  /\b(?:(?:in|out)put )?(?:tokens?|requests?|calls?|images?|messages?) per (?:sec|second|min|minute|hour|day|week|month)\b/i
const REASON_CHARS = 99

function numberAfter(words: RegExp, text: string): number {
  return parseFloat((words.exec(text)?.[1] ?? '').replaceAll(',', ''))
}

const clauses = (message: string): string =>
  message
    .replace(ECHOED, '…')
    .split(CLAUSES)
    .filter((clause) => TELLING.test(clause))
    .map((clause) => clause.trim())
    .join('. ')

/** For example '429 rate_limit_exceeded: tokens per min'. */
function reasonOf(kind: Verdict['kind'], status: number | undefined, text: string): string {
  const code = /:(?!ERR_|AI_)(\w+_\w+|\w+Exception|E[A-Z]+)$/m.exec(text)?.[1]
  // Messages may be nested. The innermost one is the provider's own.
  const message = [...text.matchAll(/(?<=^(?:message|error|detail):)(?!failed$)[^{\n]+/gm)].pop()?.[0] ?? ''
  // A lost connection is reported by the runtime, which does not know the request.
  const own = kind === 'transient' && status === undefined ? message.replace(ECHOED, '…') : clauses(message)
  const said = PER.exec(text)?.[0] ?? own.slice(0, REASON_CHARS).trim()
  return [[status, code].filter(Boolean).join(' '), said].filter(Boolean).join(': ')
}

/** A refusal worded as a rate limit may concern a call that can never fit, or a window too long to wait for. */
function kindOfRate(
  text: string,
  limit: number,
  waitMs: number | undefined,
  perMs: number | undefined,
): RefusalKind {
  if (numberAfter(REQUESTED, text) > limit) return 'oversize'
  // A long window counts as a quota, unless the answer names a reasonable wait.
  const long = waitMs === undefined ? perMs! >= DAY : waitMs >= DAY || (waitMs >= HOUR && LONG.test(text))
  return long ? 'quota' : 'rate'
}

function judge(outcome: Outcome, wall: number): Verdict | undefined {
  const thrown = 'error' in outcome
  const source = thrown ? outcome.error : outcome.value
  const isResponse = !thrown && statusOf(source) !== undefined && isObject(get(source, 'headers'))
  // A result that contains an error is a failure, whatever its status was (OpenRouter, Responses).
  if (!thrown && !isResponse && !isObject(get(source, 'error'))) return undefined
  const { body } = outcome
  const { status, text } = readAnswer(source, body)
  const rule = rules.find(({ when }) => when.test(text))
  if (!rule || rule.kind === 'aborted') return undefined
  if (!thrown && !isResponse && rule.kind === 'transient') return undefined
  let { kind } = rule

  const headers = headersOf([source, enclosed(source), body])
  const now = serverNow(headers, wall)
  // If several quotas are used up, the wait for the daily one applies.
  const daily = /^quota(?:Id|_limit):.*PerDay[^]*/m.exec(text)?.[0]
  const named = daily ?? text
  let waitMs = daily && kind === 'quota' ? untilPacificMidnightMs(now) : readWait(headers, text, now)
  // Used only if nothing else names a wait, and only for windows: a bucket accepts calls long before it is full.
  if (kind === 'rate')
    waitMs ??= readLimits(headers, wall).find((hint) => !hint.remaining && hint.perMs !== MINUTE)?.resetMs
  const limit = numberAfter(LIMIT, named)
  const perMs = windowOf(named)
  if (kind === 'rate') kind = kindOfRate(text, limit, waitMs, perMs)
  return known({
    kind,
    ...(kind !== 'transient' &&
      kind !== 'overload' && {
        of: dimensionOf(named),
        limit: limit > 0 ? limit : undefined,
        perMs,
      }),
    slowDown: slowDown.test(text) || undefined,
    waitMs,
    status,
    reason: reasonOf(kind, status, text),
  }) as Verdict
}

export function classify(outcome: Outcome, wall: number): Verdict | undefined {
  return guard(() => judge(outcome, wall))
}

/**
 * Whether the body of a returned Response must be read before `classify`. The body distinguishes a quota from a
 * rate.
 */
export function needsBody(value: unknown): boolean {
  return (
    !!statusOf(value) &&
    !get(value, 'bodyUsed') &&
    ['clone', 'text'].every((method) => typeof get(value, method) === 'function')
  )
}
