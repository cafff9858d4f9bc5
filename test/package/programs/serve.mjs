// A provider on loopback, and `fetch` with a limiter before it.

export async function serve({ withLimiter }, { startHttpProvider, TokenBucketProvider }) {
  const provider = await startHttpProvider({ model: new TokenBucketProvider({ requestsPerMinute: 600 }) })
  try {
    const limited = withLimiter(fetch, { requestsPerMinute: 600 })
    const response = await limited(`${provider.url}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'gpt-5',
        messages: [{ role: 'user', content: 'What is the capital of France?' }],
      }),
    })
    if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`)
    await response.json()
  } finally {
    await provider.close()
  }
}
