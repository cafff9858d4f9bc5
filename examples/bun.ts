/**
 * A streaming chat server for Bun, with one limiter for all its requests. In a folder of your own: `bun add
 * llmiter openai`, then `bun bun.ts`, and `curl -N 'http://127.0.0.1:3000/?q=Hello'`.
 *
 * Without `OPENAI_API_KEY` a server on this machine answers.
 */
import OpenAI from 'openai'
import { limitOpenAI } from 'llmiter/openai'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const limits = { requestsPerMinute: 600 }
const local = async () => {
  const { url } = await startHttpProvider({ model: new TokenBucketProvider(limits), tokensPerSecond: 100 })
  return { apiKey: 'any', baseURL: url }
}

// At module level, so that all requests share one queue.
const openai = limitOpenAI(new OpenAI(process.env.OPENAI_API_KEY ? {} : await local()), limits)

export default {
  hostname: '127.0.0.1',
  port: Number(process.env.PORT ?? 3000),
  async fetch(request: Request): Promise<Response> {
    const content = new URL(request.url).searchParams.get('q') ?? 'Hello'
    const events = await openai.chat.completions.create(
      { model: 'gpt-5', messages: [{ role: 'user', content }], stream: true },
      { signal: request.signal }, // a reader who leaves ends the call, or its wait
    )
    const words = new ReadableStream({
      async start(controller) {
        for await (const { choices } of events)
          controller.enqueue(new TextEncoder().encode(choices[0]?.delta.content ?? ''))
        controller.close()
      },
    })
    return new Response(words, { headers: { 'content-type': 'text/plain; charset=utf-8' } })
  },
}
