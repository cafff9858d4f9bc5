// The real client of Upstash, for a bridge that speaks its REST protocol in front of a local Redis.

import { Redis } from '@upstash/redis'

export const Upstash = (url: string) =>
  new Redis({ url, token: 'local', retry: false, enableTelemetry: false })
