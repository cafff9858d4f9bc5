// Counts what the gateway has done since it started.

export interface GatewayCounts {
  /** Attempts by target and status. 0 means no complete answer. */
  readonly tries: { readonly target: string; readonly status: number; count: number }[]
  /** Calls refused by the gateway itself, by code. */
  readonly refused: Readonly<Record<string, number>>
  readonly tokens: { readonly target: string; input: number; output: number; usd: number }[]
  /** Calls answered from the cache. */
  readonly cached: number
  readonly waitedMs: number
  readonly tookMs: number
}

export class GatewayCounters {
  readonly #tries = new Map<string, GatewayCounts['tries'][number]>()
  readonly #tokens = new Map<string, GatewayCounts['tokens'][number]>()
  readonly #refused: Record<string, number> = {}
  #cached = 0
  #waitedMs = 0
  #tookMs = 0

  refused(code: string): void {
    this.#refused[code] = (this.#refused[code] ?? 0) + 1
  }

  kept(): void {
    this.#cached++
  }

  answered(
    target: string,
    status: number,
    waitedMs: number,
    ms: number,
    billed: { readonly input: number; readonly output: number } | undefined,
    usd = 0,
  ): void {
    const key = `${target} ${status}`
    let tries = this.#tries.get(key)
    if (!tries) this.#tries.set(key, (tries = { target, status, count: 0 }))
    tries.count++
    this.#waitedMs += waitedMs
    this.#tookMs += ms
    if (!billed) return
    let tokens = this.#tokens.get(target)
    if (!tokens) this.#tokens.set(target, (tokens = { target, input: 0, output: 0, usd: 0 }))
    tokens.input += billed.input
    tokens.output += billed.output
    tokens.usd += usd
  }

  all(): GatewayCounts {
    return {
      tries: [...this.#tries.values()].map((one) => ({ ...one })),
      refused: { ...this.#refused },
      tokens: [...this.#tokens.values()].map((one) => ({ ...one })),
      cached: this.#cached,
      waitedMs: this.#waitedMs,
      tookMs: this.#tookMs,
    }
  }
}
