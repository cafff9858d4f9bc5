/**
 * A Next.js route that streams a chat. It aborts the call to the provider when the browser disconnects. Save it as
 * `app/api/chat/route.ts` and read it with `curl -N 'http://localhost:3000/api/chat' -d '{ "q": "Hello" }'`.
 *
 * `OPENAI_API_KEY` and, for another provider, `OPENAI_BASE_URL` come from the environment.
 */
import OpenAI from 'openai'
import { limitOpenAI } from 'llmiter/openai'

export const dynamic = 'force-dynamic'

const limits = { name: 'chat', requestsPerMinute: 600, maxConcurrent: 20 }
const connect = () => limitOpenAI(new OpenAI(), limits)
// In development, Next.js reloads this file after each change. The limiter and its counts must survive that.
const kept = globalThis as { chatOpenAI?: ReturnType<typeof connect> }

export async function POST(request: Request): Promise<Response> {
  const { q } = (await request.json()) as { q: string }
  const left = new AbortController()
  request.signal.addEventListener('abort', () => left.abort())
  const openai = (kept.chatOpenAI ??= connect())
  const stream = await openai.chat.completions.create(
    { model: 'gpt-5', stream: true, messages: [{ role: 'user', content: q }] },
    { signal: left.signal }, // also ends the wait for a ticket
  )
  const chunks = stream[Symbol.asyncIterator]()
  const text = new ReadableStream<string>({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(value.choices[0]?.delta.content ?? '')
    },
    cancel: () => left.abort(), // the browser disconnected while reading
  })
  return new Response(text.pipeThrough(new TextEncoderStream()), {
    headers: { 'content-type': 'text/plain; charset=utf-8' },
  })
}
