// The options of one call.

import type { CallOptions, Usage } from 'llmiter'

/** The options of one call. Fields of your own are seen by `sticky` and by conditions. */
export interface PoolCall extends Pick<
  CallOptions,
  'cost' | 'request' | 'signal' | 'priority' | 'tenant' | 'maxWaitMs' | 'timeoutMs'
> {
  /** The one target that may answer: where the file, batch or stored response that the call speaks of is kept. */
  readonly target?: string
  /**
   * For budgets: what was used, read from an answer, or from each chunk of a stream. Of an answer it may be told later.
   * Default: as all known SDKs tell it.
   */
  readonly usage?: (answer: unknown) => Usage | undefined | Promise<Usage | undefined>
  /** `false`: it is sent, whatever `coalesce` and `cache` know. */
  readonly share?: boolean
  readonly [field: string]: unknown
}
