// How a rate that was found is followed: R is what got through when calls were refused.
//
//   dip    a tenth below R, back to it on a cubic (as TCP CUBIC, RFC 9438)
//   hold   R, twice as long each time it was found again
//   climb  R · (1 + c · (2^(t/D) − 1)): gentle at first, so that a small overshoot is met first, and a limit that
//          has doubled is found within minutes
//
// Two kinds of provider need two ways to ask. One is over its limit for a second and refuses for less: it may be
// asked often. The other lets a minute's worth pass, then refuses for the rest of it: each question is dear, and
// only a whole minute tells. How long the gate was closed says which it is.

/**
 * `'fast'`: refuses as soon as the rate is above its limit, and accepts again at once (buckets, short windows).
 * `'slow'`: is above its limit for long before it refuses, and then refuses for long. `'window'`: a slow one whose
 * windows are known. `'eased'`: asked to slow down; OpenAI wants the earlier rate kept for 15 minutes. `'growing'`: lets
 * a client that comes from nothing double from one minute to the next (Anthropic's acceleration limits).
 */
export type CurveKind = 'fast' | 'slow' | 'window' | 'eased' | 'growing'

interface CurveShape {
  /** The first hold, and the longest after it has doubled with every confirmation. */
  hold: number
  longest: number
  /** The climb: so much above the rate, and doubling in this time. */
  climb: number
  doubles: number
  /** A unit of time is that of so many tickets, at least a second. */
  tickets: number
  /** Refused while it held the rate: at least so much of it is kept. */
  keeps: number
}

export const HABITS: Record<CurveKind, CurveShape> = {
  fast: { hold: 15, longest: 90, climb: 0.03, doubles: 10, tickets: 5, keeps: 0.97 },
  slow: { hold: 50, longest: 300, climb: 0.02, doubles: 30, tickets: 1, keeps: 0.85 },
  window: { hold: 60, longest: 150, climb: 0.03, doubles: 10, tickets: 1, keeps: 0.85 },
  growing: { hold: 30, longest: 60, climb: 1, doubles: 68, tickets: 0, keeps: 0.85 },
  eased: { hold: 900, longest: 900, climb: 0.02, doubles: 30, tickets: 0, keeps: 0.85 },
}
/** The dip: so much, for so many units. A rate that has outlived it has stood. */
const DEPTH = 0.1
export const DIP = 10

export interface CurvePoint {
  kind: 'found'
  rate: number
  since: number
  /** How often it was found again. */
  confirmed: number
  unit: number
  of: CurveKind
  /** What had stood before a climb, while this rate has not stood yet. */
  before?: StoodPoint
}

/** A rate that had stood: what was before it does not matter any more. */
export type StoodPoint = Omit<CurvePoint, 'before'>

/** The rate that is followed from a found one: a dip, a hold, a climb. */
export function followed(found: CurvePoint, heldMs: number): number {
  const { rate, unit, confirmed, of } = found
  const dip = DIP * unit
  if (confirmed === 0 && heldMs < dip) return rate * (1 + DEPTH * (heldMs / dip - 1) ** 3)
  const climbing = (heldMs - climbsAfter(found)) / unit
  const { climb, doubles } = HABITS[of]
  return climbing > 0 ? rate * (1 + climb * (2 ** (climbing / doubles) - 1)) : rate
}

/** How long it is held before the climb. */
export function climbsAfter({ confirmed, unit, of }: CurvePoint): number {
  const { hold, longest } = HABITS[of]
  return unit * (Math.min(hold * 2 ** confirmed, longest) + (confirmed ? 0 : DIP))
}
