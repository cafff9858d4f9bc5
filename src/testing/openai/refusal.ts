/**
 * Creates the refusals and rate limit headers of OpenAI's API: the texts, types and codes by which a client
 * distinguishes refusals that waiting resolves from others.
 */
import type { ModelRequest } from './request.ts'
import type { LimitRefusal, ProviderDimension, ProviderLimit, Refused } from '../provider.ts'

export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null }
}

export function errorBody(
  message: string,
  {
    type = 'invalid_request_error',
    param = null,
    code = null,
  }: Partial<Omit<ErrorBody['error'], 'message'>> = {},
): ErrorBody {
  return { error: { message, type, param, code } }
}

export function refusalBody(refusal: Refused, model: string): ErrorBody {
  switch (refusal.why) {
    case 'rate':
    case 'oversize':
      return errorBody(limitMessage(refusal, model), {
        type: /^(requests|concurrency)$/.test(refusal.of) ? 'requests' : 'tokens',
        code: 'rate_limit_exceeded',
      })
    case 'quota':
      return errorBody(
        'You exceeded your current quota, please check your plan and billing details. For more information on ' +
          'this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.',
        { type: 'insufficient_quota', code: 'insufficient_quota' },
      )
    case 'overload':
      if (refusal.slowDown) return errorBody('Slow down', { type: 'server_error', code: 'slow_down' })
      return refusal.status === 529
        ? errorBody('Overloaded', { type: 'overloaded_error' })
        : errorBody('The engine is currently overloaded, please try again later', { type: 'server_error' })
  }
}

const dimensionNames: Record<ProviderDimension, string> = {
  requests: 'requests per min (RPM)',
  tokens: 'tokens per min (TPM)',
  inputTokens: 'input tokens per min (ITPM)',
  outputTokens: 'output tokens per min (OTPM)',
  concurrency: 'concurrent requests',
}

function limitMessage(
  { why, of, limit, used, requested, retryAfterMs }: LimitRefusal,
  model: string,
): string {
  const where = `${model} in organization org-llmiter on ${dimensionNames[of]}`
  if (why === 'oversize') {
    return (
      `Request too large for ${where}: Limit ${limit}, Requested ${requested}. The input or output tokens must ` +
      'be reduced in order to run successfully.'
    )
  }
  const again = retryAfterMs === undefined ? '' : ` Please try again in ${formatDuration(retryAfterMs)}.`
  return `Rate limit reached for ${where}: Limit ${limit}, Used ${used}, Requested ${requested}.${again}`
}

/** The event that ends a stream refused in the middle. It has a code but no status. */
export function midwayError({ endpoint, model }: ModelRequest): string {
  const message = `Rate limit reached for ${model} in organization org-llmiter on ${dimensionNames.tokens}.`
  const body = errorBody(message, { type: 'tokens', code: 'rate_limit_exceeded' })
  if (endpoint === 'chat') return `data: ${JSON.stringify(body)}\n\n`
  return `event: error\ndata: ${JSON.stringify({ ...body.error, type: 'error', sequence_number: 0 })}\n\n`
}

/** Whole seconds are sent in `retry-after`. Any other wait also needs `retry-after-ms`. */
export function retryHeaders({ retryAfterMs }: Refused): Record<string, string> {
  if (retryAfterMs === undefined) return {}
  const ms = Math.ceil(retryAfterMs)
  return {
    'retry-after': String(Math.ceil(ms / 1000)),
    ...(ms % 1000 !== 0 && { 'retry-after-ms': String(ms) }),
  }
}

export function limitHeaders(limits: ProviderLimit[]): Record<string, string> {
  return {
    ...threeHeaders(
      'requests',
      limits.filter(({ of }) => of === 'requests'),
    ),
    ...threeHeaders(
      'tokens',
      limits.filter(({ of }) => of !== 'requests' && of !== 'concurrency'),
    ),
  }
}

/**
 * Several limits share one header name: the headers report limits per minute, and of those the one with the
 * smallest share left.
 */
function threeHeaders(name: string, limits: ProviderLimit[]): Record<string, string> {
  const longest = Math.max(...limits.map(({ perMs }) => perMs))
  const share = ({ remaining, amount }: ProviderLimit) => remaining / amount
  const [limit] = limits.filter(({ perMs }) => perMs === longest).sort((a, b) => share(a) - share(b))
  if (!limit) return {}
  return {
    [`x-ratelimit-limit-${name}`]: String(limit.amount),
    [`x-ratelimit-remaining-${name}`]: String(limit.remaining),
    [`x-ratelimit-reset-${name}`]: formatDuration(limit.resetMs),
  }
}

/** OpenAI's format of a duration: `120ms`, `1.574s`, `6m0s`. Rounded up to a whole ms, so that it is never early. */
function formatDuration(durationMs: number): string {
  const ms = Math.ceil(durationMs)
  if (ms < 1000) return `${ms}ms`
  const minutes = Math.floor(ms / 60_000)
  return `${minutes > 0 ? `${minutes}m` : ''}${(ms % 60_000) / 1000}s`
}
