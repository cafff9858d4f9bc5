// The interface between limiters and what watches the provider's latency. `latencyHealth` of `llmiter/health`
// implements it.

/**
 * What is measured: for a stream, the time to its first token and the time between tokens; for other calls, the
 * time to the answer.
 */
export type LatencyKind = 'ttft' | 'itl' | 'duration'

/** The state of a provider, judged by its latency. */
export type HealthState = 'healthy' | 'warning' | 'unhealthy'

/** The moving averages in ms of each measure that has a threshold, and the resulting state. */
export interface HealthReading {
  /** Fast enough, close to the threshold, or too slow. */
  state: HealthState
  /** The share of the rate, or of the calls, that is let through: 0 to 1. */
  share: number
  /** The mean time to the first token in ms. */
  ttftMs?: number
  /** The mean time between tokens in ms. */
  itlMs?: number
  /** The mean duration of calls in ms. */
  durationMs?: number
}

/** Watches the latency of a limiter's calls: `latencyHealth` of `llmiter/health` makes one. */
export interface Health {
  /** Called when a limiter is created. `tell` reports each decision to it. */
  open(name: string, tell: (reading: HealthReading) => void): HealthMonitor
}

/** Watches the latency of one limiter's calls. */
export interface HealthMonitor {
  /** Records one measurement. */
  sample(of: LatencyKind, ms: number, now: number): void
  /** The share of the rate to use. Missing if calls are rejected instead. */
  share?(now: number): number
  /** The error to reject a new call with, or undefined. */
  refusal?(now: number): Error | undefined
  /** The current state and averages. */
  reading(now: number): HealthReading
}
