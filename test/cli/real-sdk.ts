// A process of its own for the test of the SDK's law: the real SDK in virtual time, in the simulator's world. It
// sends its delays after each kind of refusal, and what became of a backlog.

import { installFakes } from '../../bench/providers/fakes.ts'
import { present } from '../../bench/providers/run.ts'
import { VirtualClock, seededRandom } from 'llmiter/testing'
import { readFlags, readPlan } from '../../src/cli/simulate/flags.ts'
import { costOf, providerOf } from '../../src/cli/simulate/plan.ts'
import { type SimulatedCall, World } from '../../src/cli/simulate/world.ts'

const [headers, line] = JSON.parse(process.argv[2]!) as [Record<string, string>[], string[]]
installFakes()
const { default: OpenAI } = await import('openai')
type Fetch = (url: unknown, init?: { body?: unknown }) => Promise<Response>
const sdk = (maxRetries: number, fetch: Fetch) =>
  new OpenAI({
    apiKey: 'any',
    baseURL: 'http://provider/v1',
    maxRetries,
    logLevel: 'off',
    fetch: fetch as never,
  })

/** Refused by each set of headers in turn, with `Math.random` half way. */
async function delays(): Promise<number[]> {
  const clock = (present.clock = new VirtualClock())
  Math.random = () => 0.5
  const sentAt: number[] = []
  const openai = sdk(headers.length, async () => {
    sentAt.push(clock.now())
    return new Response('{}', { status: 429, headers: headers[sentAt.length - 1] ?? {} })
  })
  const call = openai.post('/embeddings', { body: {} }).catch(() => {})
  await clock.runAll()
  await call
  return sentAt.slice(1).map((at, i) => at - sentAt[i]!)
}

async function backlog(): Promise<{ done: number; lost: number; refused: number }> {
  const plan = await readPlan(readFlags(line))
  const late = seededRandom(99)
  const clock = (present.clock = new VirtualClock({ lateMs: () => 2 * late() }))
  Math.random = seededRandom(1)
  const provider = providerOf(plan, plan.tiers[0]!)
  const world = new World({
    clock,
    provider,
    random: seededRandom(7),
    jitterMs: plan.jitterMs,
    headers: false,
  })
  const openai = sdk(2, async (_url, init) => {
    const { input } = JSON.parse(init!.body as string) as { input: number }
    const job = plan.jobs[input]!
    const call: SimulatedCall = { job, cost: costOf(plan.sizes, job), sentAt: 0 }
    const reply = await world.send(call)
    if (!reply) throw new Error('no answer')
    const { status, headers, body } = reply
    return new Response(JSON.stringify(body), {
      status,
      headers: { 'content-type': 'application/json', ...headers },
    })
  })
  const counts = { done: 0, lost: 0 }
  let next = 0
  const worker = async () => {
    while (next < plan.jobs.length) {
      const input = next++
      await openai.post('/embeddings', { body: { input } }).then(
        () => counts.done++,
        () => counts.lost++,
      )
    }
  }
  const all = Promise.all(Array.from({ length: plan.workers }, worker))
  await clock.runAll()
  await all
  return { ...counts, refused: world.refused }
}

process.send!({ delays: await delays(), backlog: await backlog() })
process.disconnect()
