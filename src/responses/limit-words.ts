/**
 * The words that providers use for what they count and in which window: "on tokens per min (TPM): Limit
 * 200000", "30,000 input tokens per minute", 'GenerateRequestsPerDayPerProjectPerModel'. Only words that
 * stand beside a "per" or a "rate" count: every error speaks of "your request".
 */

import { DAY, HOUR, MINUTE, SECOND } from './provider.ts'

export const UNITS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY }

const DIMENSION =
  /((?:in|out)put)?.?(token|request|call)s?(?:.?per| rate)|:(token|request)s$|\b([tr])p[smhd]\b/im
const WINDOW = /per.?(day|hour|min|sec)|\b[tr]p([dhms])\b/i

export function dimensionOf(text: string): string | undefined {
  if (/concurren/i.test(text)) return 'concurrency'
  const [found, side, ...nouns] = DIMENSION.exec(text) ?? []
  if (!found) return undefined
  if (!/^t/i.test(nouns.join(''))) return 'requests'
  return side ? `${side.toLowerCase()}Tokens` : 'tokens'
}

export function windowOf(text: string): number | undefined {
  const [, word, letter] = WINDOW.exec(text) ?? []
  return UNITS[(word ?? letter ?? '').charAt(0).toLowerCase()]
}
