/** The demo's first line: which limit binds. */
import { estimateTokens } from 'llmiter'
import type { Settings } from './settings.ts'

const amount = (n: number) => n.toLocaleString('en')

/** A call takes about as many tokens as the limiter reserves for it, and more if its answer is long. */
export function headline(settings: Settings, prompt: string): string {
  const { calls, requestsPerMinute, tokensPerMinute, liveKey } = settings
  const { inputTokens, maxOutputTokens = 0 } = estimateTokens([{ input: prompt }])
  const tokens = inputTokens + maxOutputTokens
  const most = tokensPerMinute / requestsPerMinute
  const where = liveKey === undefined ? 'a server on this machine' : 'the real API, twice'
  const requestLimit = `${amount(requestsPerMinute)} requests a minute`
  const tokenLimit = `${amount(tokensPerMinute)} tokens a minute`
  const binds =
    tokens < most
      ? `${requestLimit} while a call takes fewer than ${amount(Math.ceil(most))} tokens; ` +
        `these take about ${amount(tokens)}, and with longer answers ${tokenLimit} would bind.`
      : `${tokenLimit}, since a call takes about ${amount(tokens)} tokens; ${requestLimit} would allow more.`
  return `${amount(calls)} calls at once to ${where}. The limit that binds is ${binds}`
}
