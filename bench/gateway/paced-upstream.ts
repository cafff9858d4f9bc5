// A provider that allows 600 calls a minute, ten of them at once, and answers after 300 ms. It prints its port,
// and after each line of input its counts so far.

import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const model = new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000 })
const provider = await startHttpProvider({ model, latencyMs: 300 })
console.log(provider.port)
process.stdin.on('data', () => {
  const { log, refused, admitted } = provider.requests
  const arrivals = log.filter(({ status }) => status === 200).map(({ atMs }) => atMs)
  console.log(JSON.stringify({ admitted, refused, spanMs: Math.round(arrivals.at(-1)! - arrivals[0]!) }))
})
