// The seam between a limiter and what watches the provider's latency. The shell measures, and does what the watcher
// says; what it says is decided in `llmiter/health`, so that a limiter without it pays nothing for it.

import { text } from '../lib/validate.ts'
import type { Health, HealthMonitor } from '../call/health.ts'
import type { LimiterRuntime } from './runtime.ts'

export function openHealth(runtime: LimiterRuntime, health: Health): HealthMonitor {
  const monitor = health.open(runtime.name, (reading) => runtime.events.emit('health', reading))
  if (monitor.share) {
    if (!runtime.issuer.limitSet.buckets.some(({ limit }) => limit.paced)) {
      const message = `health of '${runtime.name}' has no rate to lower, since no limit is paced`
      throw new TypeError(`${message}: give it a rate, or onUnhealthy: 'refuse'`)
    }
    runtime.issuer.ramp.slowed = (now) => monitor.share!(now)
  }
  return monitor
}

export function checkHealth(health: Health): void {
  if (typeof health?.open !== 'function')
    throw new TypeError(`health must be made by latencyHealth() of llmiter/health, got ${text(health)}`)
}
