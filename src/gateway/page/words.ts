// Formats numbers and times for people.

/** Formats 12345.6 as 12,346 and 1.234 as 1.23. */
export const count = (n: number): string =>
  n.toLocaleString('en', { maximumFractionDigits: Math.abs(n) < 100 ? 2 : 0 })

export const money = (usd: number): string => `$${usd.toFixed(usd > 0 && usd < 1 ? 4 : 2)}`

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const

/** Formats 90,000 ms as 1.5 min. */
export function time(ms: number): string {
  const [unit, size] = UNITS.find(([, least]) => ms >= least) ?? ['ms', 1]
  return `${count(Math.round((10 * ms) / size) / 10)} ${unit}`
}

const PERIODS: Record<number, string> = {
  1000: 'second',
  60_000: 'minute',
  3_600_000: 'hour',
  86_400_000: 'day',
}

export const period = (ms: number): string =>
  `a ${PERIODS[ms] ?? time(ms)}`.replace(/^a (\d)/, '$1').replace('a hour', 'an hour')
