// `fetch` with a limiter before it, on streams and Responses of whatever runtime this is.

const check = (what, got, expected) => {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)]
  if (a !== b) throw new Error(`${what}: got ${a}, expected ${b}`)
}

const usage = { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 }

/** A provider: it refuses the first call, and answers the others in pieces. */
function provider() {
  let calls = 0
  return async (_url, { body }) => {
    if (calls++ === 0) {
      return Response.json(
        { error: { code: 'rate_limit_exceeded' } },
        { status: 429, headers: { 'retry-after-ms': '60' } },
      )
    }
    const { stream } = JSON.parse(body)
    if (!stream) return Response.json({ choices: [], usage })
    const frames = [{ choices: [{ delta: { content: 'Paris' } }] }, { choices: [], usage }].map(
      (frame) => `data: ${JSON.stringify(frame)}\n\n`,
    )
    const bytes = new TextEncoder().encode([...frames, 'data: [DONE]\n\n'].join(''))
    const pieces = new ReadableStream({
      start(controller) {
        for (let i = 0; i < bytes.length; i += 10) controller.enqueue(bytes.slice(i, i + 10))
        controller.close()
      },
    })
    return new Response(pieces, { headers: { 'content-type': 'text/event-stream' } })
  }
}

export async function fetching({ BucketRateLimiter }, { limitFetch }) {
  const limiter = new BucketRateLimiter({
    name: 'fetch',
    requestsPerMinute: 6000,
    limits: [{ of: 'tokens', amount: 1000, per: '1d' }],
  })
  const limited = limitFetch(provider(), limiter)
  const ask = (stream) =>
    limited('https://api.example.com/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({ model: 'm', stream }),
    })
  const plain = await ask(false)
  check('usage', (await plain.json()).usage, usage)
  const streamed = await ask(true)
  check('a stream', (await streamed.text()).split('\n\n').length, 4)
  const left = await ask(true)
  const reader = left.body.getReader()
  await reader.read()
  check('in flight', limiter.stats().inFlight, 1)
  await reader.cancel()
  const { inFlight, refused, issued, limits } = limiter.stats()
  check('the end', [inFlight, refused, issued], [0, 1, 4])
  const used = 1000 - limits.find(({ of }) => of === 'tokens').available
  if (!(used > 24 && used < 1000)) throw new Error(`${used} tokens were used, not 24 and an estimate`)
}
