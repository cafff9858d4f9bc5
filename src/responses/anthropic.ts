/**
 * Anthropic. An overload has a status of its own (529), but within a stream only the type tells. Lack of
 * money comes as a 400 whose type says nothing, so there the prose decides.
 */

import { MINUTE, type Provider } from './provider.ts'

export const anthropic: Provider = {
  quota:
    /:enforced_spend_limit_reached$|^http 400$[^]*(credit balance is too low|specified \w+ usage limits)/m,
  overload: /(^http 529|:overloaded_error)$/m,
  slowDown: /usage increase rate/,
  rate: /:rate_limit_error$/m,
  limits: [
    ['anthropic-ratelimit-requests-*', 'requests', MINUTE],
    ['anthropic-ratelimit-tokens-*', 'tokens', MINUTE],
    ['anthropic-ratelimit-input-tokens-*', 'inputTokens', MINUTE],
    ['anthropic-ratelimit-output-tokens-*', 'outputTokens', MINUTE],
  ],
}
