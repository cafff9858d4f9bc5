/**
 * Which events of a stream carry no token: they open or close something. OpenAI's Responses, Anthropic and the AI
 * SDK send such a one as soon as they accept a call, long before the first token.
 */

import { get } from './safe-access.ts'

const FRAME = /(^|[._-])(created|queued|in_progress|added|done|completed|start|stop|end|ping|finish)$/

export function isFrame(chunk: unknown): boolean {
  const type = get(chunk, 'type')
  return typeof type === 'string' && FRAME.test(type)
}
