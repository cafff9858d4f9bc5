/** The measured load: many calls, all started at once, as with `Promise.all`. */
import type { BucketRateLimiter } from 'llmiter'
import { runAll } from 'llmiter/batch'
import type { Provider } from './provider.ts'
import { showProgress } from './screen.ts'

export interface CrowdResult {
  name: string
  calls: number
  finished: number
  lost: number
  /** Counted by the provider. */
  refused: number
  elapsedMs: number
  /** The time from the call to its answer, for answered calls, ascending. */
  waitsMs: number[]
  /** The error of the first lost call. */
  firstError?: string
  /** What held the job back, in words. */
  summary?: string
}

/** Runs all prompts against a provider, shows how it goes, and closes the provider. */
export async function runCrowd(
  name: string,
  prompts: string[],
  ask: (prompt: string) => PromiseLike<unknown>,
  provider: Provider,
  limiter?: BucketRateLimiter,
): Promise<CrowdResult> {
  const startedAt = performance.now()
  const elapsedMs = () => performance.now() - startedAt
  const result: CrowdResult = {
    name,
    calls: prompts.length,
    finished: 0,
    lost: 0,
    refused: 0,
    elapsedMs: 0,
    waitsMs: [],
  }
  const update = () => Object.assign(result, { refused: provider.refused(), elapsedMs: elapsedMs() })
  const stopProgress = showProgress(() => update())

  const answers = runAll(prompts, ask, {
    concurrency: Infinity, // all at once
    ...(limiter && { limiter, call: (input) => ({ request: { input } }) }),
    onSummary: ({ text }) => (result.summary = text),
  })
  for await (const answer of answers) {
    if (answer.ok) {
      result.finished++
      result.waitsMs.push(elapsedMs())
    } else {
      result.lost++
      result.firstError ??= answer.error instanceof Error ? answer.error.message : String(answer.error)
    }
  }

  update()
  stopProgress()
  await provider.close()
  return result
}
