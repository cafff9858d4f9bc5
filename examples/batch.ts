/**
 * `npm run example examples/batch.ts`: a job of many calls that shows its progress and can resume where it
 * stopped.
 *
 * It needs no key: the provider is a server on this machine. Results are lines of a file. Stop it with Ctrl-C and
 * run it again, and only the missing items run. `npm run example examples/batch.ts results.jsonl 50` sets the file
 * and the number of items.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import OpenAI from 'openai'
import { BucketRateLimiter } from 'llmiter'
import { runAll } from 'llmiter/batch'
import { startHttpProvider, TokenBucketProvider } from 'llmiter/testing'

const [file = 'results.jsonl', count = '50'] = process.argv.slice(2)
const items = Array.from({ length: Number(count) }, (_, i) => `In one word: what is ${i} plus ${i}?`)

const provider = await startHttpProvider({ model: new TokenBucketProvider({ requestsPerMinute: 3000 }) })
const openai = new OpenAI({ apiKey: 'any', baseURL: provider.url, maxRetries: 0 }) // refused calls wait in our queue
const limiter = new BucketRateLimiter({ name: 'gpt-5', requestsPerMinute: 3000, retry: { attempts: 3 } })

/** The keys of existing results. An item whose line was cut off runs again. */
function doneBefore(): Set<number> {
  const done = new Set<number>()
  if (!existsSync(file)) return done
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    try {
      done.add((JSON.parse(line) as { key: number }).key)
    } catch {
      // An empty or incomplete line.
    }
  }
  return done
}

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())

const results = runAll(
  items,
  (input, _, signal) => openai.responses.create({ model: 'gpt-5', input }, { signal }),
  {
    limiter,
    skip: doneBefore(),
    signal: stop.signal,
    onProgress: ({ done, total, perMinute, etaMs }) => {
      if (done % 10 === 0)
        console.log(
          `${done} of ${total}, ${Math.round(perMinute)} a minute, ${Math.round((etaMs ?? 0) / 1000)} s left`,
        )
    },
    onSummary: ({ text }) => console.log(`${text}\nThe results are in ${file}.`),
  },
)
try {
  for await (const { key, ...result } of results) {
    // A failed item is not written, so the next run tries it again.
    if (result.ok) appendFileSync(file, `${JSON.stringify({ key, answer: result.value.output_text })}\n`)
    else console.error(items[Number(key)], result.error)
  }
} catch (error) {
  if (!stop.signal.aborted) throw error
  console.log('stopped: run it again to continue')
}
await provider.close()
