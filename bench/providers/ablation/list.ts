/**
 * The rules of the law, and how to switch each one off: a fragment of a file of `src/core` and its replacement.
 * The source has no switches, so the line here must be changed when a rule is rewritten. A fragment that is not
 * found exactly once is an error.
 */
export interface Ablation {
  /** The name for `--ablate NAME`. */
  name: string
  /** The difference without the rule. */
  without: string
  file: string
  fragment: string
  replacement: string
}

type Line = readonly [name: string, without: string, file: string, fragment: string, replacement: string]

// prettier-ignore
const lines: Line[] = [
  ['spacing', 'spaced W/n, not (W + J)/n', 'limit/gcra.ts', 'JITTER_MS = 50', 'JITTER_MS = 0'],
  ['lateness', 'late timers are not made up for', 'limit/gcra.ts', 'return Math.min(LATENESS_MS, Math.max(LATENESS_SHARE * spacingMs, LATENESS_AREA / spacingMs))', 'return 0 * spacingMs'],
  ['strict-timers', 'late timers are made up for at a strict limiter, too', 'limit/gcra.ts', 'this.rate.strict ? 0 : latenessMs(1 / rate)', 'latenessMs(1 / rate)'],
  ['rested', 'the time for which the gate was closed is made up for, as late timers are', 'limit/gcra.ts', 'if (this.#crowded) this.#due = Math.max(this.#due, now)', ''],
  ['quiet-credit', 'a burst is earned while others wait, too', 'limit/gcra.ts', 'if (!this.#crowded) return (burst - 1) / rate', 'return Math.max(latenessMs(1 / rate), (burst - 1) / rate)'],
  ['burst', 'no burst at all', 'limit/gcra.ts', 'this.rate.tight(now) ? 1 : this.limit.burst', '1'],
  ['learned-burst', 'a learned rate keeps its burst', 'limit/gcra.ts', 'this.rate.tight(now) ? 1 : this.limit.burst', 'this.limit.burst'],
  ['window-cap', 'no hard cap in a window', 'limit/gcra.ts', 'this.#counter.used(now) > room ?', '!this.limit.paced && this.#counter.used(now) > room ?'],
  ['ramp', 'no slow start', 'limit/slow-start.ts', 'if (now - this.#busyAt > QUIET_MS) this.restart(now, this.#from)', ''],
  ['resume', 'after an outage from a third, not 0.9', 'ticket-issuer.ts', 'RESUME_AT = 0.9', 'RESUME_AT = 1 / 3'],
  ['dip', 'no dip below a learned rate', 'rate/rate-curve.ts', 'DEPTH = 0.1', 'DEPTH = 0'],
  ['hold', 'a learned rate is held for 5 s, not 15 s', 'rate/rate-curve.ts', 'fast: { hold: 15,', 'fast: { hold: 5,'],
  ['longer-holds', 'a confirmed rate is not held for longer', 'rate/rate-curve.ts', 'hold * 2 ** confirmed', 'hold'],
  ['climb', 'a learned rate never climbs', 'rate/rate-curve.ts', 'rate * (1 + climb *', 'rate * (1 + 0 *'],
  ['stood', 'refused on the climb, what had stood is forgotten', 'rate/rate-estimator.ts', 'Math.max(seen, rate)', 'measured'],
  ['saved-up', 'what a bucket had saved is taken for its rate', 'rate/rate-estimator.ts', 'measured <= SAME * last.rate', 'measured <= 0 * last.rate'],
  ['kinds', 'all providers are taken for fast ones', 'rate/rate-estimator.ts', 'refusedMs > LONG * unit', 'refusedMs > Infinity'],
  ['growing', 'a limit on growth is taken for a limit', 'rate/rate-estimator.ts', 'FAR = 0.4', 'FAR = 0'],
  ['slower', 'refused while it grew, the next climb is as fast', 'rate/rate-curve.ts', 'slower: 1.4,', 'slower: 1,'],
  ['trim', 'seconds are not suspected where a minute was kept', 'rate/rate-estimator.ts', 'TRIM_MS = 3_600_000', 'TRIM_MS = 0'],
  ['halved', 'one closing may cut to less than half', 'rate/rate-estimator.ts', 'fast || told ? Math.max(about, rate / 2) : about', 'about'],
  ['outage', 'an outage of a minute teaches a rate', 'rate/rate-estimator.ts', 'return !told && refusedMs >', 'return !told && Infinity <'],
  ['respace', 'the last ticket keeps the distance of the rate before', 'limit/limit-set.ts', 'for (const bucket of changed) if (bucket.rate.strict) bucket.respace(now)', ''],
  ['proving', 'the climb goes on while the gate is closed', 'rate/rate-estimator.ts', 'this.#measure.pressed && this.#closedAt === Infinity ? now', 'this.#measure.pressed ? now'],
  ['cycles', 'not measured from reopening to reopening', 'rate/throughput.ts', 'const from = this.#marks.find(', 'const from = this.#marks.slice(0, 0).find('],
  ['edge', 'the end of a window is not learned', 'gate/window-phase.ts', 'return this.#hits > 1 && this.#long', 'return false'],
  ['pressed', 'time in which nobody waited counts, too', 'limit/limit-set.ts', 'bucket.rate.press(pressed, now)', 'bucket.rate.press(true, now)'],
  ['chance', 'every refusal closes the gate, though others pass', 'gate/gate.ts', "gate.state === 'open' && suspected.of !== 'blocked'", 'false'],
  ['epoch', 'refusals of calls sent before the gate closed count, too', 'gate/gate.ts', 'if (sentAt >= this.#closedAt) {', 'if (sentAt >= -Infinity) {'],
  ['silence', 'after a rate refusal only an answer reopens', 'gate/gate.ts', "gate.kind === 'rate' || gate.out < FEW ?", "gate.kind !== 'rate' && gate.out < FEW ?"],
  ['black-hole', 'after an overload silence lets more and more go', 'gate/gate.ts', 'FEW = 4', 'FEW = Infinity'],
  ['patience', 'after an overload silence lets nothing more go', 'gate/gate.ts', 'FEW = 4', 'FEW = 1'],
  ['one-probe', 'eight probes at a time', 'gate/gate.ts', 'since: now, out: 0, allowed: 1', 'since: now, out: 0, allowed: 8'],
  ['backoff', 'waits without Retry-After do not grow', 'gate/gate.ts', 'minMs * factor ** this.#tries, cap', 'minMs, cap'],
  ['backoff-cap', 'waits grow to 30 s at any rate', 'gate/gate.ts', 'minMs * factor ** this.#tries, cap)', 'minMs * factor ** this.#tries, LONGEST_CAP_MS)'],
  ['at-once', 'too many at once closes the gate', 'ticket-issuer.ts', 'crowded && issuer.slots.inFlight > 0', 'false'],
  ['spread', 'Retry-After is kept to the ms', 'gate/gate.ts', ' * (1 + 0.02 * this.#random())', ''],
  ['place', 'a refused call goes to the end of the line', 'ticket-issuer.ts', 'this.line.add(call, returned)', 'this.line.add(call, false)'],
  ['fair-turns', 'no turns among tenants', 'queue/fair-queue.ts', 'queue.used += share', 'queue.used += 0'],
]

export const ablations: readonly Ablation[] = lines.map(([name, without, file, fragment, replacement]) => ({
  name,
  without,
  file,
  fragment,
  replacement,
}))

/** Expensive cases in which only one rule has an effect. They are skipped for the other rules. */
export const ONLY_FOR: Readonly<Record<string, string>> = { fairness: 'fair-turns' }
