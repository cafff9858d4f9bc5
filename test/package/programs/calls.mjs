// A little of everything, with whatever copy of the package it is given. Plain JavaScript that runs everywhere.

const check = (what, got, expected) => {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)]
  if (a !== b) throw new Error(`${what}: got ${a}, expected ${b}`)
}

export async function calls(llmiter, { VirtualClock }) {
  const { BucketRateLimiter, LimiterError, QueueFullError, withLimiter } = llmiter

  // On the machine's own clock: 100 a second, one at a time.
  const quick = new BucketRateLimiter({ name: 'quick', requestsPerMinute: 6000, burst: 1, ramp: false })
  const startedAt = performance.now()
  const doubled = withLimiter(async (n) => n * 2, quick)
  check('results', await Promise.all([1, 2, 3, 4].map((n) => doubled(n))), [2, 4, 6, 8])
  const tookMs = performance.now() - startedAt
  if (tookMs < 15) throw new Error(`4 calls at 100 a second took ${tookMs} ms: they were not paced`)

  // In virtual time: the refused call waits and goes first.
  const clock = new VirtualClock()
  const slow = new BucketRateLimiter({ name: 'slow', requestsPerMinute: 60, burst: 1, ramp: false, clock })
  const seen = []
  const ask = withLimiter(async (name) => {
    seen.push(name)
    if (name === 'a' && seen.length === 1) throw Object.assign(new Error('slow down'), { status: 429 })
    return name
  }, slow)
  const answers = Promise.all(['a', 'b', 'c'].map((name) => ask(name)))
  await clock.runAll({ untilMs: 600_000 })
  check('answers', await answers, ['a', 'b', 'c'])
  check('order', seen, ['a', 'a', 'b', 'c'])
  check('pending timers', clock.pendingTimers, 0)

  // A call's own error comes through, the same object; the limiter's errors are known by class.
  const own = new Error('mine')
  check('own error', await quick.run(() => Promise.reject(own)).catch((error) => error === own), true)
  const full = new BucketRateLimiter({
    name: 'full',
    requestsPerMinute: 60,
    burst: 1,
    clock,
    queue: { max: 0 },
  })
  const ticket = full.tryAcquire()
  const refused = await full.run(() => 1).catch((error) => error)
  ticket.finish()
  check('code', refused.code, 'QUEUE_FULL')
  check('class', [refused instanceof QueueFullError, refused instanceof LimiterError], [true, true])

  // A stream keeps its ticket to its end.
  const words = withLimiter.stream(async function* () {
    yield* ['to', 'be']
  }, quick)
  const heard = []
  for await (const word of words()) heard.push(word)
  check('stream', heard, ['to', 'be'])
  check('in flight', quick.stats().inFlight, 0)
  return `${Math.round(tookMs)} ms`
}
