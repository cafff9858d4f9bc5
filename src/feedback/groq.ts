/**
 * Groq. Its headers have OpenAI's names, but its requests are counted by the day: headers.ts tells which
 * of the two spoke. A busy Groq answers 498.
 */

import type { Provider } from './provider.ts'

export const groq: Provider = {
  overload: [{ is: /^http 498$/m }],
}
