/** Mistral. One 429 for two things: the account's own rate, and a model too busy for the account's tier. */

import { MINUTE, type Provider } from './provider.ts'

export const mistral: Provider = {
  overload: /^http 429$[^]*tier capacity exceeded/m,
  rate: /:rate_limited$/m,
  limits: [
    ['x-ratelimit-*-tokens-minute', 'tokens', MINUTE],
    ['x-ratelimit-*-req-minute', 'requests', MINUTE],
  ],
}
