// The recipes of docs/clients.md for other SDKs: `node recipes.mjs ollama`. One call is refused first; another one
// always fails. Prints the answer, and how many requests of each call reached the provider.

import { createServer } from 'node:http'
import { BucketRateLimiter, withLimiter } from 'llmiter'
import { limiterMiddleware } from 'llmiter/ai-sdk'
import { limitFetch } from 'llmiter/fetch'
import { limitOpenAI } from 'llmiter/openai'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const WAIT_MS = 50
const apiKey = 'none'
const model = 'gpt-5'
const question = 'What is the capital of France?'
const messages = [{ role: 'user', content: question }]
const noRetries = { maxRetries: 0, timeout: 3_600_000 }
const firstChoice = ({ choices }) => choices[0].message.content

/** The provider of `llmiter/testing`, for what speaks OpenAI's API. */
async function openAiProvider() {
  let fault
  const provider = await startHttpProvider({
    model: new TokenBucketProvider({ requestsPerMinute: 60_000 }),
    chaos: () => fault(),
  })
  const refusal = { kind: 'refused', why: 'rate', status: 429, of: 'requests', retryAfterMs: WAIT_MS }
  return {
    url: provider.url,
    requests: () => provider.requests.log.length,
    refuseOnce: () =>
      (fault = () => ((fault = () => undefined), { ...refusal, limit: 60, used: 60, requested: 1 })),
    fail: () => (fault = () => ({ kind: 'fails', status: 500 })),
    close: () => provider.close(),
  }
}

/** A provider with an API of its own: `answer` is the body of its answer to a POST, `polled` that of a GET. */
async function ownProvider({ answer, polled }) {
  let next
  let posts = 0
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => {
      const url = `http://127.0.0.1:${server.address().port}`
      const [status, body] = request.method === 'POST' ? (posts++, next()) : [200, polled]
      const headers = { 'content-type': 'application/json', ...(status === 429 && { 'retry-after': '0' }) }
      response.writeHead(status, headers).end(JSON.stringify(body).replaceAll('URL', url))
    })
  })
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  const url = `http://127.0.0.1:${server.address().port}`
  return {
    url: `${url}/v1`,
    origin: url,
    requests: () => posts,
    refuseOnce: () =>
      (next = () => ((next = () => [200, answer]), [429, { message: 'Rate limit exceeded' }])),
    fail: () => (next = () => [500, { message: 'Internal error' }]),
    close: () => server.closeAllConnections() ?? server.close(),
  }
}

const PREDICTION = { id: 'p', urls: { get: 'URL/predictions/p' }, logs: '', version: 'v' }
const CHAT = {
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model,
  choices: [{ index: 0, message: { role: 'assistant', content: '{"city":"Paris"}' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
}

/** Each makes a function that asks once, by the recipe; `own` describes a provider that does not speak OpenAI's API. */
const RECIPES = {
  '@aws-sdk/client-bedrock-runtime': {
    own: {
      answer: {
        output: { message: { role: 'assistant', content: [{ text: 'Paris' }] } },
        stopReason: 'end_turn',
        usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
        metrics: { latencyMs: 1 },
      },
    },
    async ask({ origin }, { limiter }) {
      const { BedrockRuntimeClient, ConverseCommand } = await import('@aws-sdk/client-bedrock-runtime')
      const { NodeHttpHandler } = await import('@smithy/node-http-handler')
      const client = new BedrockRuntimeClient({
        region: 'us-east-1',
        endpoint: origin,
        credentials: { accessKeyId: apiKey, secretAccessKey: apiKey },
        requestHandler: new NodeHttpHandler(), // the provider here speaks HTTP/1
        maxAttempts: 1,
      })
      const converse = withLimiter(
        (input, { signal } = {}) => client.send(new ConverseCommand(input), { abortSignal: signal }),
        limiter,
      )
      return async () => {
        const input = { modelId: model, messages: [{ role: 'user', content: [{ text: question }] }] }
        return (await converse(input)).output.message.content[0].text
      }
    },
  },
  'together-ai': {
    async ask({ url }, { limited }) {
      const { default: Together } = await import('together-ai')
      const client = new Together({ apiKey, baseURL: url, fetch: limited, ...noRetries })
      return async () => firstChoice(await client.chat.completions.create({ model, messages }))
    },
  },
  ollama: {
    own: { answer: { model, message: { role: 'assistant', content: 'Paris' }, done: true } },
    async ask({ origin }, { limited }) {
      const { Ollama } = await import('ollama')
      const client = new Ollama({ host: origin, fetch: limited })
      return async () => (await client.chat({ model, messages })).message.content
    },
  },
  '@huggingface/inference': {
    async ask({ url }, { limited }) {
      const { InferenceClient } = await import('@huggingface/inference')
      const endpointUrl = `${url}/chat/completions`
      const client = new InferenceClient(apiKey, { fetch: limited, retry_on_error: false, endpointUrl })
      return async () => firstChoice(await client.chatCompletion({ model, messages }))
    },
  },
  replicate: {
    own: {
      answer: { ...PREDICTION, status: 'processing' },
      polled: { ...PREDICTION, status: 'succeeded', output: ['Paris'] },
    },
    async ask({ origin }, { limited }) {
      const { default: Replicate } = await import('replicate')
      const client = new Replicate({ auth: apiKey, baseUrl: origin, fetch: limited })
      const wait = { mode: 'poll', interval: 10 }
      return async () => (await client.run(`a/b:${'0'.repeat(64)}`, { input: { question }, wait }))[0]
    },
  },
  'cohere-ai': {
    own: {
      answer: {
        id: '1',
        finish_reason: 'COMPLETE',
        message: { role: 'assistant', content: [{ type: 'text', text: 'Paris' }] },
        usage: { tokens: { input_tokens: 9, output_tokens: 12 } },
      },
    },
    async ask({ origin }, { limited }) {
      const { CohereClientV2 } = await import('cohere-ai')
      const options = { token: apiKey, baseUrl: origin, maxRetries: 0, timeoutInSeconds: 3600 }
      const client = new CohereClientV2({ ...options, fetch: limited })
      return async () => (await client.chat({ model, messages })).message.content[0].text
    },
  },
  '@llamaindex/openai': {
    async ask({ url: baseURL }, { limited }) {
      const { OpenAI } = await import('@llamaindex/openai')
      const client = new OpenAI({
        model,
        apiKey,
        baseURL,
        additionalSessionOptions: { fetch: limited },
        ...noRetries,
      })
      return async () => (await client.chat({ messages })).message.content
    },
  },
  '@mastra/core': {
    async ask({ url: baseURL }, { limiter }) {
      const { Agent } = await import('@mastra/core/agent')
      const { wrapLanguageModel } = await import('ai-5')
      const { createOpenAI } = await import('ai-sdk-openai-2')
      const limited = wrapLanguageModel({
        model: createOpenAI({ apiKey, baseURL }).chat(model),
        middleware: limiterMiddleware(limiter),
      })
      const agent = new Agent({ name: 'one', instructions: 'Answer.', model: limited })
      return async () => (await agent.generate(question, { modelSettings: { maxRetries: 0 } })).text
    },
  },
  genkit: {
    async ask({ url: baseURL }, { limited }) {
      const { genkit } = await import('genkit')
      const { openAICompatible } = await import('@genkit-ai/compat-oai')
      const plugin = openAICompatible({ name: 'some', apiKey, baseURL, fetch: limited, ...noRetries })
      const ai = genkit({ plugins: [plugin] })
      return async () => (await ai.generate({ model: `some/${model}`, prompt: question })).text
    },
  },
  '@openai/agents': {
    async ask({ url: baseURL }, { limiter }) {
      const { default: OpenAI } = await import('openai')
      const { Agent, run, setDefaultOpenAIClient, setTracingDisabled } = await import('@openai/agents')
      setTracingDisabled(true)
      setDefaultOpenAIClient(limitOpenAI(new OpenAI({ apiKey, baseURL, maxRetries: 0 }), limiter))
      const agent = new Agent({ name: 'one', instructions: 'Answer.', model })
      return async () => (await run(agent, question)).finalOutput
    },
  },
  '@instructor-ai/instructor': {
    own: { answer: CHAT }, // its answers have the form that was asked for
    async ask({ url: baseURL }, { limiter }) {
      const { default: OpenAI } = await import('openai')
      const { default: Instructor } = await import('@instructor-ai/instructor')
      const { z } = await import('zod')
      const client = limitOpenAI(new OpenAI({ apiKey, baseURL, maxRetries: 0 }), limiter)
      const instructor = Instructor({ client, mode: 'JSON' })
      const response_model = { schema: z.object({ city: z.string() }), name: 'Capital' }
      return async () => (await instructor.chat.completions.create({ model, messages, response_model })).city
    },
  },
}

const { own, ask } = RECIPES[process.argv[2]]
const provider = await (own ? ownProvider(own) : openAiProvider())
const limiter = new BucketRateLimiter({ name: 'all', requestsPerMinute: 6000 })
const call = await ask(provider, { limiter, limited: limitFetch(fetch, limiter) })
provider.refuseOnce()
const answer = await call()
const whenRefused = provider.requests()
provider.fail()
const failure = await call().then(
  () => 'none',
  (error) => (error instanceof Error ? 'an error' : typeof error),
)
const { refused, issued } = limiter.stats()
console.log(
  JSON.stringify({
    answered: typeof answer === 'string' && answer.length > 0,
    failure,
    requests: { whenRefused, whenFailed: provider.requests() - whenRefused },
    limiter: { refused, issued },
  }),
)
process.exit(0)
