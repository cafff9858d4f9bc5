// One limited call of one SDK, refused once by a server of its own: `node peer.mjs openai`. Prints the answer, and how
// many requests came.

import { createServer } from 'node:http'

const chat = {
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [
    { index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop', logprobs: null },
  ],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
}
const message = {
  id: 'm',
  type: 'message',
  role: 'assistant',
  model: 'm',
  content: [{ type: 'text', text: 'hi' }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: { input_tokens: 1, output_tokens: 1 },
}
const generated = {
  candidates: [{ content: { role: 'model', parts: [{ text: 'hi' }] }, finishReason: 'STOP' }],
  usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 },
}
const refusal = {
  error: {
    message: 'Rate limit reached for requests per min',
    type: 'requests',
    code: 'rate_limit_exceeded',
  },
}

let requests = 0
const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    requests++
    response.setHeader('content-type', 'application/json')
    if (requests === 1) {
      response.writeHead(429, { 'retry-after': '0' }).end(JSON.stringify(refusal))
      return
    }
    const { url } = request
    const answer = url.includes('/messages') ? message : url.includes('generateContent') ? generated : chat
    response.end(JSON.stringify(answer))
  })
})
await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
const url = `http://127.0.0.1:${server.address().port}`

const limits = { name: 'test', requestsPerMinute: 6000 }
const apiKey = 'none'
const messages = [{ role: 'user', content: 'hello' }]
const firstChoice = ({ choices }) => choices[0].message.content

const CALLS = {
  async openai() {
    const { OpenAI } = await import('openai')
    const { limitOpenAI } = await import('llmiter/openai')
    // No retries of the SDK: only the limiter's line can bring the call through.
    const client = limitOpenAI(new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 }), limits)
    return firstChoice(await client.chat.completions.create({ model: 'm', messages }))
  },
  async anthropic() {
    const { Anthropic } = await import('@anthropic-ai/sdk')
    const { limitAnthropic } = await import('llmiter/anthropic')
    const client = limitAnthropic(new Anthropic({ apiKey, baseURL: url, maxRetries: 0 }), limits)
    return (await client.messages.create({ model: 'm', max_tokens: 5, messages })).content[0].text
  },
  async groq() {
    const { Groq } = await import('groq-sdk')
    const { limitGroq } = await import('llmiter/groq')
    const client = limitGroq(new Groq({ apiKey, baseURL: url, maxRetries: 0 }), limits)
    return firstChoice(await client.chat.completions.create({ model: 'm', messages }))
  },
  async google() {
    const { GoogleGenAI } = await import('@google/genai')
    const { limitGoogle } = await import('llmiter/google')
    const client = limitGoogle(new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } }), limits)
    return (await client.models.generateContent({ model: 'm', contents: 'hello' })).text
  },
  async 'google-generative-ai'() {
    const { GoogleGenerativeAI } = await import('@google/generative-ai')
    const { limitGoogleGenerativeAI } = await import('llmiter/google-generative-ai')
    const client = limitGoogleGenerativeAI(new GoogleGenerativeAI(apiKey), limits)
    const model = client.getGenerativeModel({ model: 'm' }, { baseUrl: url })
    return (await model.generateContent('hello')).response.text()
  },
  async mistral() {
    const { Mistral } = await import('@mistralai/mistralai')
    const { limitMistral } = await import('llmiter/mistral')
    const client = limitMistral(new Mistral({ apiKey, serverURL: url }), limits)
    return firstChoice(await client.chat.complete({ model: 'm', messages }))
  },
  async 'ai-sdk'() {
    const ai = await import('ai')
    const { createOpenAI } = await import('@ai-sdk/openai')
    const { limiterMiddleware } = await import('llmiter/ai-sdk')
    const wrap = ai.wrapLanguageModel ?? ai.experimental_wrapLanguageModel
    const model = wrap({
      model: createOpenAI({ apiKey, baseURL: `${url}/v1` }).chat('m'),
      middleware: limiterMiddleware(limits),
    })
    return (await ai.generateText({ model, prompt: 'hello', maxRetries: 0 })).text
  },
}

const answer = await CALLS[process.argv[2]]()
console.log(JSON.stringify({ answer, requests }))
process.exit(0)
