/**
 * Azure OpenAI. Where OpenAI says `rate_limit_exceeded` it writes the status once more, as text; in the
 * middle of a stream that is all there is.
 */

import type { Provider } from './provider.ts'

export const azure: Provider = {
  rate: [{ is: /^429$/m }],
}
