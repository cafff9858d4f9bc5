// Creates targets from environment variables, so that no configuration file is needed.

import type { GatewayTarget, TargetLimits } from './options.ts'
import type { Protocol } from './protocol.ts'

type Environment = Readonly<Record<string, string | undefined>>

const VARIABLES: readonly { protocol: Protocol; keys: readonly string[]; urls: readonly string[] }[] = [
  { protocol: 'openai', keys: ['OPENAI_API_KEY'], urls: ['OPENAI_BASE_URL'] },
  { protocol: 'anthropic', keys: ['ANTHROPIC_API_KEY'], urls: ['ANTHROPIC_BASE_URL'] },
  { protocol: 'gemini', keys: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'], urls: ['GOOGLE_GEMINI_BASE_URL'] },
]

/** One target for each provider with a key. */
export function targetsFromEnv(env: Environment, limits: TargetLimits): GatewayTarget[] {
  const first = (names: readonly string[]) => names.map((name) => env[name]?.trim()).find(Boolean)
  return VARIABLES.flatMap(({ protocol, keys, urls }) => {
    const apiKey = first(keys)
    const baseUrl = first(urls)
    if (apiKey === undefined) return []
    return { name: protocol, protocol, apiKey, baseUrl, ...(Object.keys(limits).length > 0 && { limits }) }
  })
}
