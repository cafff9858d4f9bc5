/**
 * OpenRouter stands before other providers: its 502 means that the one it chose failed, and the next call
 * may go to another. Its limit headers may sit in the body, and do not say in which window they count.
 */

import type { Provider } from './provider.ts'

export const openrouter: Provider = {
  overload: /^http 502$[^]*provider returned error/im,
  limits: [['x-ratelimit-*', 'requests']],
}
