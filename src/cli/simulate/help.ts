// What `llmiter simulate --help` says.

import { KINDS } from './providers.ts'
import { WORKLOADS } from './workloads.ts'

const providers = Object.entries(KINDS).map(([name, { about }]) => `  ${name.padEnd(15)}${about}`)
const workloads = WORKLOADS.map((form) => `  ${form}`)

export const HELP = `llmiter simulate: how long will a job take, and what if the limits were others?

  llmiter simulate --rpm 500 --tpm 200k --workload backlog:3000
  llmiter simulate --rpm 500,5000,10k --workload backlog:50000 --clients llmiter,sdk
  llmiter simulate --provider short-quantum --rpm 600 --workload poisson:80%:30m --told 2x
  llmiter simulate --rpm 500,500,1000 --workload backlog:3000 --targets
  llmiter simulate --from run.log --rpm 1000,2000 --out page.html

Limits; a list of them is one tier each
  --rpm, --tpm, --itpm, --otpm   requests, tokens, input and output tokens a minute: 500, 200k, 2M
  --max-concurrent               calls at once

--provider: how they are kept
${providers.join('\n')}
  --window 1s                    what a bucket holds, or the short quantum
  --retry-after exact|seconds|none   --failures count|free   how it refuses
  --headers                      answers tell the limits
  --outage 1m:2m, 1m:2m:30%      down from when for how long, or for a part of the calls
  --says overloaded|unavailable|slow-down|nothing   what it answers then

--workload: which calls come
${workloads.join('\n')}
  --from run.log [--name gpt-5]  the calls of a recorded run in its place
  --prompt-tokens 1200 --output-tokens 300 --latency 2s   means; --spread 0.6 around them, 0: all alike
  --max-tokens                   what calls ask for at most; some providers charge it
  --jitter 50ms                  how far calls drift apart on their way

Who calls
  --clients llmiter,sdk,sdk-20   llmiter; OpenAI's SDK with 2 retries, or so many, and --workers 50
  --told right|half|2x|unknown   what the limiter is told of the limits
  --processes 20                 so many, up to 10,000, which share the limit as through llmiter/redis
  --store shared|none            none: without a store, each told its part of the limit
  --targets                      the limits of a list are targets of one llmiter/pool, too
  --pacing smooth|eager          eager needs --headers

  --seed 1   --json   --out page.html (the curves of each run)

optimum: a client that knows the provider. goodput: calls that got through, at the part of the optimum's speed.
wait: from asking until the try that got in leaves. lost: given up after its retries, or never let in.
`
