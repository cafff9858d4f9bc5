/**
 * A Cloudflare Worker with one limiter for all requests of an isolate: `npx wrangler dev examples/worker.ts`, and
 * then `curl 'http://localhost:8787/?q=Hello'`. `OPENAI_API_KEY` and `OPENAI_BASE_URL` are variables of the
 * worker.
 *
 * Isolates do not share counts: give each its part of the limit, or share one limit through `llmiter/redis`.
 */
import { limitFetch } from 'llmiter/fetch'

interface Env {
  OPENAI_API_KEY?: string
  OPENAI_BASE_URL?: string
}

// At module level, so that all requests share one queue.
const limited = limitFetch((input, init) => fetch(input, init), {
  name: 'gpt-5',
  requestsPerMinute: 600,
  maxConcurrent: 20,
})

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const content = new URL(request.url).searchParams.get('q') ?? 'Hello'
    const answer = await limited(`${env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'}/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${env.OPENAI_API_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content }] }),
      signal: request.signal, // a client that disconnects also ends the wait
    })
    if (!answer.ok) return new Response('The model does not answer. Please try again later.', { status: 503 })
    const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] }
    return new Response(choices[0]?.message.content)
  },
}
