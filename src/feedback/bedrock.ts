/** Bedrock names the exception; within a stream the name comes without a status. */

import type { Provider } from './provider.ts'

export const bedrock: Provider = {
  overload: [{ is: /^ServiceUnavailableException$/m }],
  rate: [{ is: /^ThrottlingException$/m }],
}
