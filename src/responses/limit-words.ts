/**
 * The words that providers use for what they count and for its window: "on tokens per min (TPM): Limit 200000",
 * "30,000 input tokens per minute", 'GenerateRequestsPerDayPerProjectPerModel', "daily free allocation". The
 * counted quantity must stand next to "per" or "rate", because every error mentions "your request". A window
 * without "per" counts only near a word for what is limited.
 */

import { DAY, HOUR, MINUTE, SECOND } from '../lib/units.ts'

const DIMENSION =
  /((?:in|out)put)?.?(token|request|call)s?(?:.?per| rate)|:(token|request)s$|\b([tr])p[smhd]\b/im

const LIMITED =
  '(?:limit|quota|allowance|allocation|usage|requests?|tokens?|calls?|messages?|again|cap|credits?|free|限|额|額|重试|重試|配额|用量|kontingent|limite?s?|l[ií]mites?|cuota|cota|лимит|квот\\S*|한도|할당량|上限)'
/** Matches a window and the letter or word that names it. */
const EXPLICIT =
  /per.?(?:1.?)?(?:calendar |rolling )?(second|sec|minute|min|hour|day|week|month|year)|\/ ?(second|sec|minute|min|hour|hr|day|week|month|mo|year)s?\b|\b[trc]p([smhdw])\b|\b(?:per|every|within|last|rolling|(?<!(?:again|retry|resets?|wait|available|access) )in) (?:the |an? )?(?:last )?(\d+)[ -]?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|weeks?|months?)\b/gi
const WORDS: readonly (readonly [words: string, perMs: number])[] = [
  ['hourly|an hour|stündlich\\w*|pro stunde|par heure|por hora|в час|每小时|每小時|1時間', HOUR],
  [
    "daily|per-?day|a day|today(?:'s)?|24[ -]?hours?|tomorrow|明天|明日|mañana|demain|每天|每日|当日|當日|今日|单日|1日|一日|日次|täglich\\w*|pro tag|tages\\S*|par jour|quotidien\\w*|journali\\w*|diari[oa]s?|por d[ií]a|al d[ií]a|diári[oa]s?|giornalier\\w*|al giorno|dagelijks\\w*|per dag|günlük|ежедневн\\S*|в день|в сутки|суточн\\S*|дневн\\S*|일일|하루|매일",
    DAY,
  ],
  [
    'weekly|a week|每周|每週|週間|wöchentlich\\w*|pro woche|hebdomadaire\\w*|par semaine|semana(?:l|is|les)|settiman\\w*|wekelijks\\w*|недел\\S*|주간',
    7 * DAY,
  ],
  [
    'monthly|a month|每月|月度|月間|1か月|monatlich\\w*|pro monat|mensuel\\w*|par mois|mensua(?:l|les)|por mes|mensa(?:l|is)|mensil\\w*|maandelijks\\w*|por m[eê]s|месячн\\S*|в месяц|월간|매월',
    30 * DAY,
  ],
  ['yearly|annual(?:ly)?|a year|每年|年度|jährlich\\w*|annuel\\w*|par an|anual\\w*', 365 * DAY],
]
const NEAR = WORDS.map(
  ([words, perMs]) =>
    [
      new RegExp(
        `(?:${LIMITED}[^.;\\n]{0,40}?|^[^.;\\n]{0,10}?)(?:${words})|(?:${words})[^.;\\n]{0,40}?${LIMITED}`,
        'im',
      ),
      perMs,
    ] as const,
)
const UNITS: Readonly<Record<string, number>> = { s: SECOND, h: HOUR, d: DAY, w: 7 * DAY }

export function dimensionOf(text: string): string | undefined {
  if (/concurren|simultaneous|并发|並列/i.test(text)) return 'concurrency'
  const [found, side, ...nouns] = DIMENSION.exec(text) ?? []
  if (!found) return undefined
  if (!/^t/i.test(nouns.join(''))) return 'requests'
  return side ? `${side.toLowerCase()}Tokens` : 'tokens'
}

function unitOf(word: string): number | undefined {
  if (/^y/i.test(word)) return 365 * DAY
  return /^mo/i.test(word) ? 30 * DAY : /^m/i.test(word) ? MINUTE : UNITS[word.charAt(0).toLowerCase()]
}

/** The window named first in the text, in ms. */
export function windowOf(text: string): number | undefined {
  let [first, perMs] = [Infinity, undefined as number | undefined]
  for (const found of text.matchAll(EXPLICIT)) {
    const [, per, slash, letter, count, unit] = found
    first = found.index
    perMs = unit ? Number(count) * unitOf(unit)! : unitOf((per ?? slash ?? letter)!)
    break
  }
  for (const [words, ms] of NEAR) {
    const at = words.exec(text)?.index ?? Infinity
    if (at < first) [first, perMs] = [at, ms]
  }
  return perMs
}
