/**
 * `npm run example examples/gateway.ts`: Python programs and curl share one pace through the gateway. They need no
 * library: they send their requests to the gateway instead of the provider.
 *
 * It needs no key: the provider is a server on this machine. It needs `python3` and `curl`.
 */
import { execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const PYTHON = `
import json, os, urllib.request

for number in range(5):
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": f"What is {number} + 1?"}]}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        json.load(answer)["choices"][0]["message"]["content"]
print("5 answers")
`

const model = new TokenBucketProvider({ requestsPerMinute: 600, capacityMs: 1000 })
const provider = await startHttpProvider({ model })

// Like `OPENAI_API_KEY=… npx llmiter gateway`.
const main = import.meta.resolve('llmiter').replace(/index(\.\w+)$/, 'cli/llmiter$1')
const words = [
  ...process.execArgv,
  fileURLToPath(main),
  'gateway',
  '--port',
  '0',
  '--requests-per-minute',
  '600',
]
const gateway = spawn(process.execPath, words, {
  env: { ...process.env, OPENAI_API_KEY: 'any', OPENAI_BASE_URL: provider.url },
  stdio: ['ignore', 'pipe', 'inherit'],
})
const base = await new Promise<string>((resolve, reject) => {
  let said = ''
  gateway.once('exit', (code) => reject(new Error(`the gateway ended with ${code}: ${said}`)))
  gateway.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    const url = /OPENAI_BASE_URL=(\S+)/.exec(said)?.[1]
    if (url) resolve(url)
  })
})

try {
  const run = promisify(execFile)
  const env = { ...process.env, OPENAI_BASE_URL: base }
  const pythons = [1, 2, 3].map(() => run('python3', ['-c', PYTHON], { env }))
  const body = JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content: 'Hello' }] })
  const flags = ['-sS', '--fail', '-H', 'content-type: application/json', '-d', body]
  const curl = run('curl', [...flags, `${base}/chat/completions`])
  for (const { stdout } of await Promise.all(pythons)) console.log(`python: ${stdout.trim()}`)
  const { choices } = JSON.parse((await curl).stdout) as { choices: unknown[] }
  console.log(`curl: ${choices.length} answer`)
  console.log(`the provider answered ${provider.requests.byStatus[200]} calls`)
} finally {
  gateway.kill()
  await provider.close()
}
