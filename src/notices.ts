// What the office has decided becomes events, and a probe that it wants is asked.

import type { Notice } from './core/said.ts'
import { gateOf } from './core/view.ts'
import type { Desk } from './desk.ts'
import type { Appointment } from './engine.ts'

const PROBE_TIMEOUT_MS = 10_000

export function announce(notice: Notice): void {
  const desk = notice.office.owner as Desk
  if (notice.of === 'learn') desk.events.emit('learn', { of: notice.limit, perMinute: notice.perMinute })
  else if (notice.of === 'probe') void ask(desk)
  else {
    const { state, reopensInMs } = gateOf(notice.office, desk.engine.now())
    desk.events.emit('gate', { state, ...(reopensInMs !== undefined && { reopensInMs }) })
  }
}

/** Asks the user's own probe. One that throws or hangs means "still blocked", never "for ever". */
async function ask(desk: Desk): Promise<void> {
  const { engine, office, probe } = desk
  const hung = new AbortController()
  let late: Appointment | undefined
  let open = false
  try {
    const gaveUp = new Promise<false>((resolve) => {
      late = engine.at(engine.now() + PROBE_TIMEOUT_MS, () => resolve(false), true)
    })
    open = (await Promise.race([probe!(hung.signal), gaveUp])) === true
  } catch (error) {
    desk.failed(error, 'probe')
  }
  hung.abort()
  if (late) engine.forget(late)
  const now = engine.now()
  office.asked(!open, now)
  engine.pump(now)
}
