/** The bodies of real refusals, once, so that every test asks about the same words. */

export const openaiTokens = {
  error: {
    message:
      'Rate limit reached for o4-mini in organization org-a1 on tokens per min (TPM): Limit 200000, Used 162960, ' +
      'Requested 42288. Please try again in 1.574s. Visit https://platform.openai.com/account/rate-limits to learn more.',
    type: 'tokens',
    param: null,
    code: 'rate_limit_exceeded',
  },
}

export const openaiRequests = {
  error: {
    message:
      'Rate limit reached for gpt-5 in organization org-a1 on requests per min (RPM): Limit 3, Used 3, Requested 1. ' +
      'Please try again in 20s.',
    type: 'requests',
    param: null,
    code: 'rate_limit_exceeded',
  },
}

export const openaiTooLarge = {
  error: {
    message:
      'Request too large for gpt-4o in organization org-a1 on tokens per min (TPM): Limit 30000, Requested 36278. ' +
      'The input or output tokens must be reduced in order to run successfully.',
    type: 'tokens',
    param: null,
    code: 'rate_limit_exceeded',
  },
}

export const openaiNoMoney = {
  error: {
    message: 'You exceeded your current quota, please check your plan and billing details.',
    type: 'insufficient_quota',
    param: null,
    code: 'insufficient_quota',
  },
}

export const openaiSlowDown = {
  error: {
    message: 'Your request rate grew too fast.',
    type: 'rate_limit_error',
    param: null,
    code: 'slow_down',
  },
}

export const anthropicRate = {
  type: 'error',
  error: {
    type: 'rate_limit_error',
    message: "This request would exceed your organization's rate limit of 50,000 input tokens per minute.",
  },
  request_id: 'req_1',
}

export const anthropicOverloaded = {
  type: 'error',
  error: { type: 'overloaded_error', message: 'Overloaded' },
}

export const anthropicSpend = {
  type: 'error',
  error: {
    type: 'rate_limit_error',
    message: 'The spend limit was reached.',
    details: { error_code: 'enforced_spend_limit_reached' },
  },
}

export function gemini(...quotas: readonly (readonly [quotaId: string, quotaValue: string])[]) {
  const model = { model: 'gemini-3-flash' }
  return {
    error: {
      code: 429,
      message: 'You exceeded your current quota, please check your plan and billing details.',
      status: 'RESOURCE_EXHAUSTED',
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
          violations: quotas.map(([quotaId, quotaValue]) => ({
            quotaMetric: 'generativelanguage.googleapis.com/generate_content_free_tier_requests',
            quotaId,
            quotaDimensions: model,
            quotaValue,
          })),
        },
        { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '26s' },
      ],
    },
  }
}

export const geminiInputPerMinute = gemini(['GenerateContentInputTokensPerModelPerMinute-FreeTier', '250000'])
export const geminiRequestsPerDay = gemini(['GenerateRequestsPerDayPerProjectPerModel-FreeTier', '20'])

export const azureDay = {
  error: {
    code: '429',
    message:
      'Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-05-01-preview have ' +
      'exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 86400 seconds.',
  },
}

export const mistralRate = {
  object: 'error',
  message: 'Rate limit exceeded',
  type: 'rate_limited',
  param: null,
  code: '1300',
}

/** Sunday 2026-11-01 is the day on which California's clocks go back. */
export const wall = Date.parse('2026-11-21T20:00:00Z')

/** An error with these fields, as SDKs make them. */
export function thrown(fields: object, message = 'failed'): { error: Error } {
  return { error: Object.assign(new Error(message), fields) }
}
