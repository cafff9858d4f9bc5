/**
 * What HTTP itself and the runtimes say. Most providers refuse in no other words (Together, Fireworks,
 * Cohere, Groq, whose own word is 498), or repeat them where a stream has no status (Azure writes '429'
 * as a code, Bedrock the exception's name).
 *
 * Someone's abort is never a reason to try again, whatever it encloses; but the timeouts of SDKs abort the
 * fetch themselves, and enclose that. Without a status, a connection
 * broke, time ran out, or a provider broke in the middle of a stream; a fetch that fails in a browser has
 * no code for it, only prose.
 */

import type { Provider } from './provider.ts'

export const http: Provider = {
  aborted:
    /^http .*\n(?![^]*:request timed out)[^]*:(AbortError|ABORT_ERR|ERR_CANCELED|RequestAbortedError)$/im,
  quota: /^http 402$/m,
  oversize: /^http 413$/m,
  overload: /^http (498|503)$/m,
  rate: /(^http |:)429$|:ThrottlingException$/m,
  transient:
    /^http (5..|40[89])$|^http u[^]*(:(ECONN|E\w+UNREACH$|ETIMEDOUT|EPIPE|EAI_AGAIN|ENOTFOUND|ERR_NETWORK|UND_ERR_(SO|\w+TIMEOUT)|(Request)?TimeoutError$|(server|api|timeout)_error$|failed to fetch|load failed|networkerror|request timed out|connection error|"timeout)|fetch failed)/im,
  limits: [['ratelimit-*', 'requests']],
}
