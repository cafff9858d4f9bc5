/**
 * `npm run example examples/chat-express.ts`: an Express server that streams a chat. It aborts the call to the
 * provider when the browser disconnects, so that no tokens are wasted.
 *
 * It needs no key: the provider is a server on this machine. With OPENAI_API_KEY the real one answers.
 */
import type { AddressInfo } from 'node:net'
import express from 'express'
import OpenAI from 'openai'
import { limitOpenAI } from 'llmiter/openai'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const apiKey = process.env['OPENAI_API_KEY']
const local = apiKey
  ? undefined
  : await startHttpProvider({
      model: new TokenBucketProvider({ requestsPerMinute: 600 }),
      answerTokens: 200,
      tokensPerSecond: 50,
    })
const openai = limitOpenAI(new OpenAI(local ? { apiKey: 'any', baseURL: local.url } : { apiKey }), {
  name: 'chat',
  requestsPerMinute: 600,
  maxConcurrent: 20,
})

const app = express()
app.get('/chat', async (request, response) => {
  const left = new AbortController()
  response.on('close', () => {
    if (response.writableEnded) return
    left.abort()
    console.log('the reader left, and the call ended')
  })
  try {
    const stream = await openai.chat.completions.create(
      {
        model: 'gpt-5',
        stream: true,
        messages: [{ role: 'user', content: String(request.query['q'] ?? 'Hello') }],
      },
      { signal: left.signal }, // also ends the wait for a ticket
    )
    response.type('text/plain')
    for await (const { choices } of stream) response.write(choices[0]?.delta.content ?? '')
    response.end()
  } catch (error) {
    if (left.signal.aborted) return
    console.error(error)
    if (response.headersSent) response.destroy()
    else response.status(503).send('The model does not answer. Please try again later.')
  }
})

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  console.log(`listening at ${url}\n  curl -N '${url}/chat?q=Hello'`)
})
process.once('SIGTERM', () => {
  server.close()
  void local?.close()
})
