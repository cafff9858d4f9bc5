// Connects a limiter to a watcher of the provider's latency. The limiter measures and applies the watcher's
// decisions. The watcher is in `llmiter/health`, so that a limiter without one has no overhead.

import type { Health, HealthMonitor } from '../call/health.ts'
import type { TicketIssuer } from '../core/ticket-issuer.ts'
import type { LimiterEmitter } from './events.ts'

export function openHealth(
  runtime: { readonly name: string; readonly events: LimiterEmitter; readonly issuer: TicketIssuer },
  health: Health,
): HealthMonitor {
  const monitor = health.open(runtime.name, (reading) => runtime.events.emit('health', reading))
  if (monitor.share) {
    if (!runtime.issuer.limitSet.buckets.some(({ limit }) => limit.paced)) {
      const message = `health of '${runtime.name}' has no rate to lower, because no limit is paced`
      throw new TypeError(`${message}: give it a rate, or onUnhealthy: 'refuse'`)
    }
    runtime.issuer.ramp.slowed = (now) => monitor.share!(now)
  }
  return monitor
}
