/**
 * Counts the files and named functions of `src/` that one call enters, by V8's coverage. Exits with 1 above the
 * bound.
 *
 * Clocks and random numbers belong to the environment, so the code they enter does not count. Code that runs at
 * import runs once and does not count either.
 */
import { Session } from 'node:inspector/promises'
import { BucketRateLimiter } from '../src/index.ts'
import { VirtualClock } from '../src/testing/clock.ts'

interface Journey {
  readonly name: string
  /** The maximum number of files it may enter. */
  readonly atMost: number
  readonly run: (stage: Stage) => Promise<void>
}

interface Stage {
  readonly clock: VirtualClock
  readonly limiter: BucketRateLimiter
}

const FOREIGN = /^(testing\/|scheduler\/clock\.ts$)/
const SRC = new URL('../src/', import.meta.url).href

const refusal = { status: 429, message: 'Rate limit reached for requests', headers: { 'retry-after': '1' } }

/** A limiter that has already been used, so that one-time work is not measured. */
async function used(): Promise<Stage> {
  const clock = new VirtualClock()
  const limiter = new BucketRateLimiter({ name: 'hops', requestsPerMinute: 600, clock })
  await goesAtOnce({ clock, limiter })
  await clock.advance(1000)
  return { clock, limiter }
}

/** A timer of the virtual clock, with no limiter. */
async function timePasses(): Promise<void> {
  const clock = new VirtualClock()
  clock.setTimer(() => {}, 10)
  await clock.advance(100)
}

async function goesAtOnce({ limiter }: Stage): Promise<void> {
  await limiter.run(() => Promise.resolve('answer'))
}

async function isRefused({ clock, limiter }: Stage): Promise<void> {
  let tries = 0
  const answer = limiter.run(() => {
    if (tries++ === 0) throw Object.assign(new Error(refusal.message), refusal)
    return Promise.resolve('answer')
  })
  await clock.advance(10_000)
  await answer
  if (tries !== 2) throw new Error(`the call was tried ${tries} times`)
}

const journeys: Journey[] = [
  { name: 'a call that goes at once', atMost: 16, run: goesAtOnce },
  { name: 'a call that is refused, parked and sent as the probe', atMost: 24, run: isRefused },
]

/** The named functions that ran since the last call, by file of `src/`. */
async function entered(session: Session): Promise<Map<string, string[]>> {
  const { result } = await session.post('Profiler.takePreciseCoverage')
  const files = new Map<string, string[]>()
  for (const { url, functions } of result) {
    const file = url.startsWith(SRC) ? url.slice(SRC.length) : undefined
    if (file === undefined || FOREIGN.test(file)) continue
    const names = functions.filter(({ functionName, ranges }) => functionName && ranges[0]!.count > 0)
    if (names.length > 0)
      files.set(
        file,
        names.map(({ functionName }) => functionName),
      )
  }
  return files
}

function without(files: Map<string, string[]>, others: Map<string, string[]>): Map<string, string[]> {
  const rest = [...files].map(([file, names]) => {
    const theirs = others.get(file) ?? []
    return [file, names.filter((name) => !theirs.includes(name))] as const
  })
  return new Map(rest.filter(([, names]) => names.length > 0))
}

const session = new Session()
session.connect()
await session.post('Profiler.enable')
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
const verbose = process.argv.includes('--verbose')
await entered(session)
await timePasses()
const clocks = await entered(session)
for (const { name, atMost, run } of journeys) {
  await run(await used())
  const stage = await used()
  await entered(session)
  await run(stage)
  const files = without(await entered(session), clocks)
  const functions = [...files.values()].flat().length
  const fine = files.size <= atMost
  console.log(
    `${fine ? 'ok  ' : 'MORE'} ${name}: ${files.size} files of at most ${atMost}, ${functions} functions`,
  )
  if (verbose) for (const [file, names] of files) console.log(`       ${file}: ${names.join(', ')}`)
  if (!fine) process.exitCode = 1
}
session.disconnect()
