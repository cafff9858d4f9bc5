// The text of `llmiter simulate --help`.

import { KINDS } from './providers.ts'
import { WORKLOADS } from './workloads.ts'

const providers = Object.entries(KINDS).map(([name, { about }]) => `  ${name.padEnd(15)}${about}`)
const workloads = WORKLOADS.map((form) => `  ${form}`)

export const HELP = `llmiter simulate: predicts how long a job will take, also with other limits

  llmiter simulate --rpm 500 --tpm 200k --workload backlog:3000
  llmiter simulate --rpm 500,5000,10k --workload backlog:50000 --clients llmiter,sdk
  llmiter simulate --provider short-quantum --rpm 600 --workload poisson:80%:30m --told 2x
  llmiter simulate --rpm 500,500,1000 --workload backlog:3000 --targets
  llmiter simulate --from run.log --rpm 1000,2000 --out page.html

Limits (each value of a list is one tier)
  --rpm, --tpm, --itpm, --otpm   requests, tokens, input and output tokens per minute: 500, 200k, 2M
  --max-concurrent               calls in flight

--provider: how limits are enforced
${providers.join('\n')}
  --window 1s                    the capacity of a bucket, or the short quantum
  --retry-after exact|seconds|none   --failures count|free   how calls are refused
  --headers                      answers contain rate limit headers
  --outage 1m:2m, 1m:2m:30%      start and duration of an outage, for all or some of the calls
  --says overloaded|unavailable|slow-down|nothing   what it answers during the outage

--workload: when calls arrive
${workloads.join('\n')}
  --from run.log [--name gpt-5]  replays the calls of a recorded run instead
  --prompt-tokens 1200 --output-tokens 300 --latency 2s   means; --spread 0.6 varies them, 0: all equal
  --max-tokens                   the max_tokens of calls; some providers charge it
  --jitter 50ms                  random network delay

Who calls
  --clients llmiter,sdk,sdk-20   llmiter; OpenAI's SDK with 2 retries, or the given number, and --workers 50
  --told right|half|2x|unknown   the limits that the limiter is configured with
  --processes 20                 the number of processes (up to 10,000) that share the limit through llmiter/redis
  --store shared|none            none: without a store, each process gets its part of the limit
  --targets                      also simulates the limits of a list as targets of one llmiter/pool
  --pacing smooth|eager          eager needs --headers

  --seed 1   --json   --out page.html (the graph of each run)

optimum: a client with full knowledge of the provider. goodput: share of calls answered × speed relative to the optimum.
wait: from the request until the accepted attempt is sent. lost: failed after all retries, or never accepted.
`
