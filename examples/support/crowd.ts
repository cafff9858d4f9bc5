/** Decides what is measured: a crowd of calls, all started at once, as people do with `Promise.all`. */
import type { Provider } from './provider.ts'
import { showProgress } from './screen.ts'

export interface CrowdResult {
  name: string
  calls: number
  finished: number
  lost: number
  /** As counted by the provider. */
  refused: number
  elapsedMs: number
  /** From the call to its answer, of the calls that got one; ascending. */
  waitsMs: number[]
  /** What the first lost call said. */
  firstError?: string
}

/** Runs all prompts against a provider, shows how it goes, and closes the provider. */
export async function runCrowd(
  name: string,
  prompts: string[],
  ask: (prompt: string) => PromiseLike<unknown>,
  provider: Provider,
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

  await Promise.all(
    prompts.map(async (prompt) => {
      try {
        await ask(prompt)
        result.finished++
        result.waitsMs.push(elapsedMs())
      } catch (error) {
        result.lost++
        result.firstError ??= error instanceof Error ? error.message : String(error)
      }
    }),
  )

  update()
  stopProgress()
  await provider.close()
  return result
}
