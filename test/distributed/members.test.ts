// Which processes are present, missing or busy is known without scanning ten thousand of them, with the same
// result as a scan.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Members } from '../../src/testing/reference-store/members.ts'
import { leaseRequest, LAW } from '../../src/distributed/protocol.ts'

/** The state of a process, as found by a full scan. */
interface Known {
  seen: number
  heard: number
  rank: number
  wantedAt: number
  permits: number
  of: number
  keepMs: number
  part: number
  /** While it is missing: until when its part is kept. */
  until: number | undefined
}

const step = fc.record({
  id: fc.integer({ min: 0, max: 29 }).map(String),
  afterMs: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 200 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 70_000 }) },
  ),
  waiting: fc.integer({ min: 0, max: 2 }),
  concurrent: fc.constantFrom(0, 40),
  permits: fc.integer({ min: 0, max: 9 }),
  inFlight: fc.integer({ min: 0, max: 9 }),
  dead: fc.array(fc.integer({ min: 0, max: 29 }).map(String), { maxLength: 1 }),
  alone: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  keepMs: fc.constantFrom(0, 2000, 20_000, LAW.keptMs),
  leaves: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
})

test('property: they are counted as if each were looked at', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const members = new Members()
      const all = new Map<string, Known>()
      let joined = 0
      // No process has an earlier state here. That is tested elsewhere.
      let now = LAW.keptMs
      for (const { afterMs, leaves, ...said } of steps) {
        now += afterMs
        const { id, dead, waiting, alone, keepMs } = said
        const question = leaseRequest({ ...base, ...said })

        for (const other of dead) if (other !== id) all.delete(other)
        const me = all.get(id) ?? {
          ...{ seen: 0, heard: -1, rank: ++joined, wantedAt: -Infinity, permits: 0 },
          ...{ of: Infinity, keepMs: 0, part: 0, until: undefined },
        }
        all.set(id, me)
        const { heard } = me
        me.heard = now
        ;[me.seen, me.until] = [now, undefined]
        if (waiting > 0) me.wantedAt = now
        let over = 0
        for (const [other, one] of all) {
          if (one.until === undefined && now - one.seen > LAW.missingMs)
            one.until = one.keepMs > LAW.missingMs ? one.seen + one.keepMs : -Infinity
          if (one.until !== undefined && one.until < now) {
            if (one.keepMs > LAW.missingMs || one.until > -Infinity) over += one.part
            all.delete(other)
          }
        }
        me.part = keepMs > 0 ? 1 / Math.min(me.of, all.size) : 0
        ;[me.of, me.keepMs, me.until] = [all.size, keepMs, alone ? now + keepMs : undefined]
        const everyone = [...all.entries()]
        const inOrder = (time: (one: Known) => number, some: typeof everyone) =>
          some.sort(([a, one], [b, two]) => time(one) - time(two) || (a < b ? -1 : 1))
        const missing = inOrder(
          ({ until }) => until!,
          everyone.filter(([, { until }]) => until !== undefined),
        )
        const silent = inOrder(
          ({ seen }) => seen,
          everyone.filter(([, { until, seen }]) => until === undefined && now - seen > LAW.suspectMs),
        )
        const busy = Math.max(1, everyone.filter(([, { wantedAt }]) => wantedAt > now - 1000).length)

        const { kept, released, ...counted } = members.count(question, false, now, now)
        expect(released).toBeCloseTo(over)
        expect(kept).toBeCloseTo(missing.reduce((sum, [, { part }]) => sum + part, 0))
        expect(counted).toEqual({
          processes: all.size,
          heard,
          complete: false,
          missing: missing.length,
          permits: me.permits,
          rank: everyone.filter(([, { rank }]) => rank < me.rank).length,
          busy,
          suspects: [...missing, ...silent].slice(0, 8).map(([other]) => other),
        })
        const others = everyone.reduce((sum, [, { permits }]) => sum + permits, 0) - me.permits
        const allowed = members.permit(question, said.concurrent || Infinity, busy, now)
        me.permits = Math.max(said.inFlight, allowed)
        if (said.concurrent > 0) expect(allowed).toBeLessThanOrEqual(Math.max(0, said.concurrent - others))
        else expect(allowed).toBe(-1)
        expect(members.permits).toBe(others + me.permits)
        if (!leaves) continue
        members.drop(id)
        all.delete(id)
      }
    }),
  )
})

const base: Parameters<typeof leaseRequest>[0] = {
  ...{
    id: '',
    gen: '',
    limits: [],
    ramp: { ms: 0, from: 1 },
    waiting: 0,
    ...{ aheadMs: 300, heldMs: 0 },
    ...{ keepMs: LAW.keptMs, fromMs: 0, lagMs: 0, declared: 0, order: -1 },
    known: 0,
  },
  ...{ concurrent: 0, inFlight: 0, permits: 0, dead: [], gone: false, alone: false, heard: -1, sentAt: -1 },
}
