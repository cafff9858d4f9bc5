/**
 * OpenAI. Everything is a 429, so the code decides; the code of a request that can never fit is that of
 * one that came too early, so there the prose decides. `slow_down` came as 503 and now comes as 429 too.
 */

import { MINUTE, type Provider } from './provider.ts'

const slowDown = /:slow_down$/m

export const openai: Provider = {
  quota:
    /:(insufficient_quota|credit_balance_exhausted|(organization|project)_(spend|usage)_limit_exceeded)$/m,
  oversize: /(^http 429|:rate_limit_exceeded)$[^]*request too large/im,
  overload: slowDown,
  slowDown,
  rate: /:rate_limit_exceeded$/m,
  limits: [
    ['x-ratelimit-*-requests', 'requests', MINUTE],
    ['x-ratelimit-*-tokens', 'tokens', MINUTE],
    ['x-ratelimit-*-project-tokens', 'tokens', MINUTE],
  ],
}
