// How a found rate develops: R is the throughput at the time calls were refused.
//
//   dip    a tenth below R, back to it on a cubic (as TCP CUBIC, RFC 9438)
//   hold   R, twice as long each time a climb was refused
//   climb  R · (1 + c · (2^(t/D) − 1)): gentle at first, so that a small overshoot is met first, and a limit that
//          has doubled is found within minutes
//
// Two kinds of provider need two ways to probe. One refuses for less than a second after its limit is exceeded, so
// probing often is cheap. The other lets a minute's amount pass and refuses for the rest of the minute: each probe is
// expensive, and only a whole minute is a measurement. How long the gate was closed tells the two apart.

/**
 * `'fast'`: refuses as soon as the rate is above its limit, and accepts again at once (buckets, short windows).
 * `'slow'`: is above its limit for long before it refuses, and then refuses for long. `'eased'`: asked to slow down;
 * OpenAI wants the earlier rate kept for 15 minutes. `'growing'`: lets a client that comes from nothing double from one
 * minute to the next (Anthropic's acceleration limits).
 */
export type CurveKind = 'fast' | 'slow' | 'eased' | 'growing'

interface CurveShape {
  /** The first hold, and the longest one after it: each climb that is refused doubles the hold. */
  hold: number
  longest: number
  /** The climb: its first step as a share of the rate, and the units in which the step doubles. */
  climb: number
  doubles: number
  /** By what factor a climb is slower for each time that a climb was refused before. */
  slower?: number
  /** A unit is the time of this many tickets, at least a second. */
  tickets: number
  /** After a refusal during the hold, at least this share of the rate is kept. */
  keeps: number
}

export const HABITS: Record<CurveKind, CurveShape> = {
  fast: { hold: 15, longest: 90, climb: 0.03, doubles: 10, tickets: 5, keeps: 0.97 },
  slow: { hold: 50, longest: 120, climb: 0.02, doubles: 30, tickets: 1, keeps: 0.85 },
  growing: { hold: 75, longest: 10, climb: 1, doubles: 65, slower: 1.4, tickets: 0, keeps: 0.85 },
  eased: { hold: 900, longest: 900, climb: 0.02, doubles: 30, tickets: 0, keeps: 0.85 },
}
/** The dip: its depth as a share of the rate, and its length in units. A rate that outlives it is confirmed. */
const DEPTH = 0.1
export const DIP = 10

export interface CurvePoint {
  kind: 'found'
  rate: number
  since: number
  /** How many climbs from it were refused in a row: each one confirms it. A limit on growth is climbed more slowly. */
  confirmed: number
  unit: number
  of: CurveKind
  /** The confirmed rate from before a climb, until this rate is confirmed. */
  before?: StoodPoint
}

/** A confirmed rate: its own predecessor no longer matters. */
export type StoodPoint = Omit<CurvePoint, 'before'>

/** The current rate after a rate was found: a dip, a hold, a climb. */
export function followed(found: CurvePoint, heldMs: number): number {
  const { rate, unit, confirmed, of } = found
  const dip = DIP * unit
  if (confirmed === 0 && heldMs < dip) return rate * (1 + DEPTH * (heldMs / dip - 1) ** 3)
  const climbing = (heldMs - climbsAfter(found)) / unit
  const { climb, doubles, slower = 1 } = HABITS[of]
  return climbing > 0 ? rate * (1 + climb * (2 ** (climbing / (doubles * slower ** confirmed)) - 1)) : rate
}

/** How long it is held before the climb. */
export function climbsAfter({ confirmed, unit, of }: CurvePoint): number {
  const { hold, longest } = HABITS[of]
  return unit * (confirmed ? Math.min(hold * 2 ** confirmed, longest) : hold + DIP)
}
