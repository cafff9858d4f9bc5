/** What a provider says, for people to read. */
import type { ModelProvider, ProviderCall } from '../../src/testing/index.ts'

/** One word per question: `ok`, `silent`, or the exceeded limit and the reported wait. */
export function transcript(provider: ModelProvider, asks: [now: number, call?: ProviderCall][]): string[] {
  return asks.map(([now, call]) => {
    const answer = provider.ask(now, call)
    if (answer.kind === 'admitted') return 'ok'
    if (answer.kind === 'silent') return 'silent'
    const of = 'of' in answer ? answer.of : `${answer.why} ${answer.status}`
    return answer.retryAfterMs === undefined ? of : `${of} +${Math.round(answer.retryAfterMs)}`
  })
}

export function limitOf(provider: ModelProvider, now: number, of = 'requests') {
  return provider.limits(now).find((limit) => limit.of === of)!
}

export function admitted(provider: ModelProvider, now: number, call?: ProviderCall) {
  const answer = provider.ask(now, call)
  if (answer.kind !== 'admitted') throw new Error(`not admitted: ${JSON.stringify(answer)}`)
  return answer
}
