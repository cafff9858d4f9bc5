/** Clients in the simplest form, that a model can be held against. */
import type { ModelProvider, ProviderCall } from '../../src/testing/index.ts'

/** What happened at a provider's door, in the order of time. */
export interface DoorEvent {
  at: number
  what: 'start' | 'end'
  call: Required<ProviderCall>
}

/** Calls at a provider, each ended after its `serviceMs`, and what happened. */
export class Line {
  readonly events: DoorEvent[] = []
  readonly #provider: ModelProvider
  #inside: { endsAt: number; end: () => void }[] = []

  constructor(provider: ModelProvider) {
    this.#provider = provider
  }

  enter(now: number, call: ProviderCall): boolean {
    this.endUntil(now)
    const answer = this.#provider.ask(now, call)
    if (answer.kind !== 'admitted') return false
    const full = { requests: 1, inputTokens: 0, outputTokens: 0, maxOutputTokens: 0, serviceMs: 0, ...call }
    this.events.push({ at: now, what: 'start', call: full })
    const endsAt = now + full.serviceMs
    this.#inside.push({
      endsAt,
      end: () => {
        answer.finish(endsAt)
        this.events.push({ at: endsAt, what: 'end', call: full })
      },
    })
    return true
  }

  endUntil(now: number): void {
    const over = this.#inside.filter(({ endsAt }) => endsAt <= now).sort((a, b) => a.endsAt - b.endsAt)
    this.#inside = this.#inside.filter(({ endsAt }) => endsAt > now)
    for (const { end } of over) end()
  }
}

/** Traffic that comes whether it is let in or not. */
export function admit(provider: ModelProvider, traffic: [gap: number, call: ProviderCall][]): DoorEvent[] {
  const line = new Line(provider)
  let now = 0
  for (const [gap, call] of traffic) line.enter((now += gap), call)
  return line.events
}

/** All that happens on the grid falls on a multiple of this. */
export const GRID_MS = 250

/**
 * When the last of a backlog is in, for a client that knows nothing and asks at every moment of the grid, at most
 * `rhythm()` times there.
 */
export function bruteForceMs(
  provider: ModelProvider,
  calls: ProviderCall[],
  rhythm: () => number = () => Infinity,
): number {
  const line = new Line(provider)
  for (let now = 0, done = 0; ; now += GRID_MS) {
    for (let left = rhythm(); left > 0 && line.enter(now, calls[done]!); left--) {
      if (++done === calls.length) return now
    }
  }
}
