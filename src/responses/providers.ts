/** All tables. */

import { anthropic } from './anthropic.ts'
import { fireworks } from './fireworks.ts'
import { google } from './google.ts'
import { http } from './http.ts'
import { mistral } from './mistral.ts'
import { openai } from './openai.ts'
import { openrouter } from './openrouter.ts'
import type { Provider } from './provider.ts'

export const providers: readonly Provider[] = [
  openai,
  anthropic,
  google,
  mistral,
  fireworks,
  openrouter,
  http,
]
