/**
 * The rules by which providers count the requests and tokens of a call. The documentation of each provider says
 * how it charges.
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

/** The maximum that the call can use, all of which is reserved. */
export function promptAndMaximum(call: ProviderCall): number {
  return inputOf(call) + maximumOf(call)
}

/** OpenAI's rule: the larger of the two. */
export function promptOrMaximum(call: ProviderCall): number {
  return Math.max(inputOf(call), maximumOf(call))
}

function maximumOf(call: ProviderCall): number {
  return call.maxOutputTokens ?? outputOf(call)
}
