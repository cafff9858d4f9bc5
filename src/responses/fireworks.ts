/** Fireworks counts tokens by the second, prompt and generated apart. */

import { type Provider, SECOND } from './provider.ts'

export const fireworks: Provider = {
  limits: [
    ['x-ratelimit-*-tokens-prompt', 'inputTokens', SECOND],
    ['x-ratelimit-*-tokens-generated', 'outputTokens', SECOND],
  ],
}
