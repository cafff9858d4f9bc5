/**
 * A server in Deno, with one limiter for all its requests. In a folder of your own: `deno add npm:llmiter npm:openai`,
 * then `deno serve --allow-net --allow-env --allow-read --host 127.0.0.1 deno.ts`, and
 * `curl 'http://127.0.0.1:8000/?q=Hello'`.
 *
 * Without `OPENAI_API_KEY` a server on this machine answers.
 */
import process from 'node:process'
import OpenAI from 'openai'
import { limitOpenAI } from 'llmiter/openai'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const limits = { requestsPerMinute: 600 }
const local = async () => {
  const { url } = await startHttpProvider({ model: new TokenBucketProvider(limits) })
  return { apiKey: 'any', baseURL: url }
}

// At module level, so that all requests share one queue.
const openai = limitOpenAI(new OpenAI(process.env.OPENAI_API_KEY ? {} : await local()), limits)

export default {
  async fetch(request: Request): Promise<Response> {
    const content = new URL(request.url).searchParams.get('q') ?? 'Hello'
    const answer = await openai.chat.completions.create(
      { model: 'gpt-5', messages: [{ role: 'user', content }] },
      { signal: request.signal }, // a reader who leaves also ends the wait
    )
    return new Response(answer.choices[0]?.message.content)
  },
}
