// Finds stream chunks that carry no token: they open or close something. Providers send one as soon as they accept
// a call, long before the first token.

/** Frame names of OpenAI's Responses API, Anthropic and the AI SDK. */
const FRAME = /(^|[._-])(created|queued|in_progress|added|done|completed|start|stop|end|ping|finish)$/

export function isFrame(chunk: unknown): boolean {
  try {
    const { type, choices } = Object(chunk) as { type?: unknown; choices?: unknown }
    if (typeof type === 'string') return FRAME.test(type)
    return Array.isArray(choices) && choices.every(saysNothing)
  } catch {
    return false // A revoked Proxy, or a getter that throws.
  }
}

/** OpenAI's chat streams begin with the role and an empty text. Azure sends the result of a filter before that. */
function saysNothing(choice: unknown): boolean {
  const { delta, finish_reason: reason } = Object(choice) as { delta?: unknown; finish_reason?: unknown }
  if (typeof delta !== 'object' || delta === null || typeof reason === 'string') return false
  return Object.entries(delta).every(([key, value]) => key === 'role' || value === '' || value === null)
}
