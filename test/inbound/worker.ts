// A worker with a guard at module scope.

import { guard } from '../../src/inbound/index.ts'

const limit = guard({
  limit: '3 per 60s',
  address: (request: Request) => request.headers.get('cf-connecting-ip') ?? '::1',
})

export default { fetch: limit.fetch(() => new Response('hello')) }
