// A worker with a limiter at module scope: ten calls a second, two at once, each 150 ms.

import { BucketRateLimiter, withLimiter } from 'llmiter'
import { limitFetch } from 'llmiter/fetch'
import { TokenBucketProvider, VirtualClock } from 'llmiter/testing'
// @ts-expect-error a program in plain JavaScript
import { fetching } from '../../package/programs/fetching.mjs'

const limiter = new BucketRateLimiter({
  name: 'module scope',
  requestsPerMinute: 600,
  maxConcurrent: 2,
  ramp: false,
  limits: [{ of: 'images', amount: 1000, per: '1d' }],
})

let served = 0
let refuseNext = 0

const work = withLimiter(async (id: string, ms: number) => {
  await new Promise((resolve) => setTimeout(resolve, ms))
  if (refuseNext > 0) {
    refuseNext--
    throw Object.assign(new Error('429'), { status: 429, headers: { 'retry-after-ms': '300' } })
  }
  served++
  return id
}, limiter)

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === '/stats') return Response.json({ ...limiter.stats(), served })
    if (pathname === '/testing') {
      const clock = new VirtualClock()
      const provider = new TokenBucketProvider({ requestsPerMinute: 60, capacityMs: 1000 })
      const own = new BucketRateLimiter({ requestsPerMinute: 60, burst: 1, ramp: false, clock })
      const kinds: string[] = []
      const all = Promise.all([0, 1, 2].map(() => own.run(() => kinds.push(provider.ask(clock.now()).kind))))
      await clock.runAll()
      await all
      return new Response(kinds.join())
    }
    if (pathname === '/fetch') {
      await fetching({ BucketRateLimiter }, { limitFetch })
      return new Response('ok')
    }
    if (pathname === '/retry') {
      let tries = 0
      const flaky = () =>
        tries++ === 0
          ? Promise.reject(Object.assign(new Error('500'), { status: 500 }))
          : Promise.resolve('ok')
      return new Response(await limiter.run(flaky, { retry: { attempts: 2, minMs: '700ms' } }))
    }
    if (pathname === '/refuse') {
      refuseNext = 3
      return new Response('ok')
    }
    return new Response(await work(searchParams.get('id') ?? '', Number(searchParams.get('ms') ?? 150)))
  },
}
