/**
 * Decides what a call costs: the rules by which providers count requests and tokens. Who charges how is in the
 * table of each provider's documentation, and the reason why a limiter has to learn it.
 */
import type { ProviderCall, ProviderUsage } from './provider.ts'

export function requestsOf({ requests = 1 }: ProviderCall): number {
  return requests
}

export function inputOf({ inputTokens = 0 }: ProviderUsage): number {
  return inputTokens
}

export function outputOf({ outputTokens = 0 }: ProviderUsage): number {
  return outputTokens
}

export function inputAndOutput(usage: ProviderUsage): number {
  return inputOf(usage) + outputOf(usage)
}

/** The most that the call can use: all of it is reserved. */
export function promptAndMaximum(call: ProviderCall): number {
  return inputOf(call) + maximumOf(call)
}

/** As OpenAI charges: the larger of the two. */
export function promptOrMaximum(call: ProviderCall): number {
  return Math.max(inputOf(call), maximumOf(call))
}

function maximumOf(call: ProviderCall): number {
  return call.maxOutputTokens ?? outputOf(call)
}
