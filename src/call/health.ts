// What watches the provider's latency, as calls and limiters see it: `latencyHealth` of `llmiter/health` makes one.

/** What is measured: for a stream the time to its first token and between tokens; otherwise the time to the answer. */
export type LatencyKind = 'ttft' | 'itl' | 'duration'

/** The state of a provider by its latency. */
export type HealthState = 'healthy' | 'warning' | 'unhealthy'

/** The moving averages in ms of each measure that has a threshold, and the state that follows. */
export interface HealthReading {
  /** Fast enough, nearly too slow, or too slow. */
  state: HealthState
  /** The share of the rate, or of the calls, that is let through. */
  share: number
  /** The mean time to the first token in ms. */
  ttftMs?: number
  /** The mean time between tokens in ms. */
  itlMs?: number
  /** The mean length of calls in ms. */
  durationMs?: number
}

/** Watches the latency of a limiter's calls: `latencyHealth` of `llmiter/health` makes one. */
export interface Health {
  /** Called when a limiter joins. It reports each decision through `tell`. */
  open(name: string, tell: (reading: HealthReading) => void): HealthMonitor
}

/** What watches the latency of one limiter's calls. */
export interface HealthMonitor {
  /** How long a call took. */
  sample(of: LatencyKind, ms: number, now: number): void
  /** The share of the rate to use; missing where calls are rejected instead. */
  share?(now: number): number
  /** Why a new call is rejected. */
  refusal?(now: number): Error | undefined
  /** The state and the averages now. */
  reading(now: number): HealthReading
}
