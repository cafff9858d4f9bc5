// The seam between a limiter and what watches the provider's latency. The shell measures, and does what the watcher
// says; what it says is decided in `llmiter/health`, so that a limiter without it pays nothing for it.

import { text } from '../lib/validate.ts'
import type { LimiterRuntime } from './runtime.ts'

/** What is measured of a call: to its first token and between tokens, of a stream; else to its answer. */
export type LatencyKind = 'ttft' | 'itl' | 'duration'

export type HealthState = 'healthy' | 'warning' | 'unhealthy'

/** The moving averages in ms, of what has a threshold, and what follows from them. */
export interface HealthReading {
  state: HealthState
  /** The share of the rate, or of the calls, that goes. */
  share: number
  ttftMs?: number
  itlMs?: number
  durationMs?: number
}

/** Watches the latency of a limiter's calls: `latencyHealth` of `llmiter/health` makes one. */
export interface Health {
  /** A limiter joins. What is decided is told by `tell`. */
  open(name: string, tell: (reading: HealthReading) => void): HealthMonitor
}

export interface HealthMonitor {
  /** So long took a call. */
  sample(of: LatencyKind, ms: number, now: number): void
  /** The share of the rate to follow; missing where calls are turned away instead. */
  share?(now: number): number
  /** Why a new call is turned away. */
  refusal?(now: number): Error | undefined
  reading(now: number): HealthReading
}

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
