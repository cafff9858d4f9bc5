/**
 * More of what providers, gateways and clouds answer, each row from a public report, an error page or an SDK's own error
 * class. Rows are short here: name, status, body, kind, wait in ms (null: none may be read), window, dimension.
 */

import type { Answer } from './answers.ts'
import { wall } from './bodies.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

type Row = readonly [
  name: string,
  status: number,
  body: unknown,
  kind: Answer['kind'],
  waitMs?: number | null | undefined,
  perMs?: number | undefined,
  of?: string,
]

const said = (message: string, fields: object = {}) => ({ error: { message, ...fields } })

const rows: readonly Row[] = [
  [
    'GH models',
    429,
    said('Rate limit of 50 per 86400s exceeded for UserByModelByDay.', { code: 'RateLimitReached' }),
    'quota',
    null,
    DAY,
  ],
  [
    'GH models wait',
    429,
    said(
      'Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 43200 seconds before retrying.',
      { code: 'RateLimitReached' },
    ),
    'quota',
    43200 * SECOND,
  ],
  [
    'GH min',
    429,
    said(
      'Rate limit of 10 per 60s exceeded for UserByModelByMinute. Please wait 33 seconds before retrying.',
      { code: 'RateLimitReached' },
    ),
    'rate',
    33 * SECOND,
    MINUTE,
  ],
  [
    'Azure day',
    429,
    said(
      'Requests have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 86400 seconds.',
      { code: '429' },
    ),
    'quota',
    86400 * SECOND,
  ],
  [
    'Voyage',
    429,
    {
      detail:
        'You have not yet added your payment method in the billing page and will have reduced rate limits of 3 RPM and 10K TPM.',
    },
    'rate',
  ],
  [
    'Replicate',
    429,
    { detail: 'Request was throttled. Expected available in 4 seconds.', status: 429 },
    'rate',
    4 * SECOND,
  ],
  [
    'Replicate pay',
    402,
    { title: 'Insufficient credit', detail: 'You have insufficient credit to run this model.' },
    'quota',
  ],
  [
    'Replicate until',
    429,
    {
      detail:
        'Your rate limit for creating predictions is reduced to 6 requests per minute with a burst of 1 requests until you add a payment method. Your rate limit resets in ~9s.',
    },
    'rate',
    9 * SECOND,
    MINUTE,
  ],
  [
    'Perplexity',
    401,
    said('You exceeded your current quota, please check your plan and billing details', {
      type: 'insufficient_quota',
      code: 401,
    }),
    'quota',
  ],
  ['DeepInfra busy', 429, { detail: { error: 'Model busy, retry later' } }, 'overload'],
  [
    'Groq RPD wait',
    429,
    said(
      'Rate limit reached for model `x` on requests per day (RPD): Limit 1000, Used 1000, Requested 1. Please try again in 1m26.4s.',
      { code: 'rate_limit_exceeded' },
    ),
    'rate',
    86400,
    DAY,
    'requests',
  ],
  [
    'Groq cap',
    503,
    said('llama is currently over capacity. Please try again and back off exponentially', {
      type: 'internal_server_error',
    }),
    'overload',
  ],
  [
    'Bedrock tokens',
    429,
    { __type: 'ThrottlingException', message: 'Too many tokens, please wait before trying again.' },
    'rate',
    null,
  ],
  [
    'OR min',
    429,
    said('Rate limit exceeded: free-models-per-min. ', { code: 429 }),
    'rate',
    undefined,
    MINUTE,
  ],
  [
    'OR key',
    403,
    said('Key limit exceeded (monthly limit). Manage it using your settings', { code: 403 }),
    'quota',
  ],
  [
    'OR key total',
    403,
    said('Key limit exceeded (total limit). Manage it using your settings', { code: 403 }),
    'quota',
  ],
  [
    'OR rpd',
    429,
    said(
      'Rate limit exceeded: limit_rpd/x: High demand for x on OpenRouter - limited to 50 requests per day.',
      { code: 429 },
    ),
    'quota',
    null,
    DAY,
  ],
  [
    'OR raw',
    429,
    {
      error: {
        message: 'Provider returned error',
        code: 429,
        metadata: { raw: 'x is temporarily rate-limited upstream. Please retry shortly' },
      },
    },
    'rate',
    null,
  ],
  [
    'OpenAI images',
    429,
    said('Rate limit reached for images per minute. Limit: 5/1min. Current: 6/1min.', {
      code: 'rate_limit_exceeded',
    }),
    'rate',
    null,
    MINUTE,
  ],
  [
    'Anthropic daily',
    429,
    {
      type: 'error',
      error: {
        type: 'rate_limit_error',
        message: 'Number of request tokens has exceeded your daily rate limit',
      },
    },
    'quota',
    null,
    DAY,
  ],
  [
    'Anthropic conc',
    429,
    {
      type: 'error',
      error: {
        type: 'rate_limit_error',
        message: 'Number of concurrent connections has exceeded your rate limit',
      },
    },
    'rate',
    null,
    undefined,
    'concurrency',
  ],
  [
    'Anthropic regain',
    400,
    {
      type: 'error',
      error: {
        type: 'invalid_request_error',
        message:
          'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.',
      },
    },
    'quota',
    Date.parse('2026-12-01T00:00Z') - wall,
  ],
  [
    'Codex',
    429,
    said("You've hit your usage limit. Upgrade to Pro or try again in 3 days 4 hours 10 minutes."),
    'quota',
    3 * DAY + 4 * HOUR + 10 * MINUTE,
  ],
  [
    'Codex resets_at',
    429,
    { error: { type: 'usage_limit_reached', resets_at: (wall + 2 * HOUR) / 1000 } },
    'quota',
    2 * HOUR,
  ],
  [
    'Mistral tier',
    429,
    {
      object: 'error',
      message: 'Service tier capacity exceeded for this model.',
      type: 'service_tier_capacity_exceeded',
      code: '3505',
    },
    'overload',
  ],
  ['Mistral monthly', 429, { message: 'Monthly quota exceeded' }, 'quota', null, 30 * DAY],
  [
    'Cohere trial min',
    429,
    { message: 'You are using a Trial key, which is limited to 10 API calls / minute.' },
    'rate',
    null,
    MINUTE,
  ],
  ['Zhipu 1302', 429, said('您的账户已达到速率限制，请您控制请求频率', { code: '1302' }), 'rate'],
  ['Zhipu 1305', 429, said('该模型当前访问量过大，请您稍后再试', { code: '1305' }), 'overload'],
  ['Zhipu 1310', 429, said('已达到每周使用上限', { code: '1310' }), 'quota', null, 7 * DAY],
  [
    'Moonshot',
    429,
    said('Your account org-1 request reached organization max RPM: 3, please try again after 1 seconds', {
      type: 'rate_limit_reached_error',
    }),
    'rate',
    1 * SECOND,
    MINUTE,
    'requests',
  ],
  [
    'Volc overdue',
    403,
    said('The request failed because your account has an overdue balance.', { code: 'AccountOverdueError' }),
    'quota',
  ],
  [
    'Volc overloaded',
    429,
    said('The service is currently unable to handle additional requests', {
      code: 'ServerOverloaded',
      type: 'TooManyRequests',
    }),
    'overload',
  ],
  [
    'SiliconFlow',
    429,
    { code: 50603, message: 'Request was rejected due to rate limiting. Details: TPM limit reached.' },
    'rate',
    null,
    MINUTE,
    'tokens',
  ],
  ['SiliconFlow bal', 403, { code: 30001, message: 'Sorry, your account balance is insufficient' }, 'quota'],
  [
    'SiliconFlow 503',
    503,
    { code: 50505, message: 'Model service overloaded. Please try again later.' },
    'overload',
  ],
  [
    'Vertex',
    429,
    said(
      'Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute_per_project_per_base_model with base model: gemini-pro.',
      { code: 429, status: 'RESOURCE_EXHAUSTED' },
    ),
    'rate',
    null,
    MINUTE,
  ],
  [
    'Vertex shared',
    429,
    said('Resource exhausted. Please try again later.', { code: 429, status: 'RESOURCE_EXHAUSTED' }),
    'rate',
    null,
  ],
  [
    'Vertex day metric',
    429,
    said('Quota exceeded for aiplatform.googleapis.com/generate_requests_per_model_per_day', {
      code: 429,
      status: 'RESOURCE_EXHAUSTED',
    }),
    'quota',
    null,
    DAY,
  ],
  [
    'CF cap',
    429,
    { errors: [{ code: 3040, message: 'Capacity temporarily exceeded, please try again.' }] },
    'overload',
  ],
  [
    'Databricks',
    429,
    {
      error_code: 'REQUEST_LIMIT_EXCEEDED',
      message: 'REQUEST_LIMIT_EXCEEDED: Exceeded workspace input tokens per minute rate limit for x',
    },
    'rate',
    null,
    MINUTE,
    'inputTokens',
  ],
  [
    'watsonx',
    403,
    {
      errors: [
        {
          code: 'token_quota_reached',
          message: 'This API call cannot be fulfilled as the monthly token quota is reached',
        },
      ],
    },
    'quota',
    null,
    30 * DAY,
  ],
  [
    'LiteLLM budget',
    400,
    said('Budget has been exceeded! Current cost: 10.01, Max budget: 10.0', {
      type: 'budget_exceeded',
      code: '400',
    }),
    'quota',
  ],
  [
    'LiteLLM deployments',
    429,
    said('No deployments available for selected model, Try again in 5 seconds'),
    'rate',
    5 * SECOND,
  ],
  [
    'APIM',
    429,
    { statusCode: 429, message: 'Rate limit is exceeded. Try again in 12 seconds.' },
    'rate',
    12 * SECOND,
  ],
  [
    'APIM quota',
    403,
    { statusCode: 403, message: 'Out of call volume quota. Quota will be replenished in 22.23:59:59.' },
    'quota',
    (22 * 24 + 23) * HOUR + 59 * MINUTE + 59 * SECOND,
  ],
  [
    'Google daily reason',
    403,
    { error: { code: 403, message: 'Daily Limit Exceeded', errors: [{ reason: 'dailyLimitExceeded' }] } },
    'quota',
    null,
    DAY,
  ],
  ['year', 429, said('You reached the yearly limit of requests'), 'quota'],
  ['annual', 429, said('annual quota exceeded'), 'quota'],
  [
    'rolling 24-hour',
    429,
    said('Limit of 500 requests in a rolling 24-hour window reached'),
    'quota',
    null,
    DAY,
  ],
  ['calendar month', 429, said('10,000 requests per calendar month'), 'quota', null, 30 * DAY],
  ['tomorrow', 429, said('You have no requests left. Please try again tomorrow.'), 'quota'],
  ['midnight', 429, said('Quota used up. Resets at midnight UTC.'), 'quota', 4 * HOUR],
  ['00:00 UTC', 429, said('Daily limit reached, resets at 00:00 UTC'), 'quota', 4 * HOUR],
  ['7 days', 429, said('limit: 100 requests per 7 days'), 'quota', null, 7 * DAY],
  ['iso dur', 429, { message: 'slow', retryAfter: 'PT30S' }, 'rate', 30 * SECOND],
  ['retryAfter 30s', 429, { message: 'slow', retryAfter: '30s' }, 'rate', 30 * SECOND],
  ['retry_after_seconds', 429, { message: 'slow', retry_after_seconds: 12 }, 'rate', 12 * SECOND],
  ['wait_seconds', 429, { message: 'slow', wait_seconds: 12 }, 'rate', 12 * SECOND],
  ['cooldown', 429, { message: 'slow', cooldown_seconds: 12 }, 'rate', 12 * SECOND],
  ['reset_after', 429, { message: 'slow', reset_after: 1.5 }, 'rate', 1500],
  ['next_allowed_at', 429, { message: 'slow', next_allowed_at: '2026-11-21T20:00:30Z' }, 'rate', 30 * SECOND],
  [
    'nested retry info',
    429,
    { error: { details: [{ '@type': 'x.RetryInfo', retryDelay: '0.5s' }] } },
    'rate',
    500,
  ],
  ['hms', 429, said('Try again in 00:00:12'), 'rate', 12 * SECOND],
  ['1h2m3s', 429, said('try again in 1h2m3s', {}), 'rate', 3723 * SECOND],
  ['ms', 429, said('Please try again in 120ms'), 'rate', 120],
  ['msg header', 429, said('Too many requests. Retry-After: 12'), 'rate', 12 * SECOND],
  ['come back', 429, said('Come back in 2 minutes'), 'rate', 2 * MINUTE],
  ['in a minute', 429, said('Please try again in a minute'), 'rate', MINUTE],
  ['few', 429, said('Please try again in a few seconds'), 'rate', null],
  ['http date msg', 429, said('Try again after Sat, 21 Nov 2026 20:01:00 GMT'), 'rate', MINUTE],
  ['unix ms', 429, { message: 'x', resetAt: wall + 45 * SECOND }, 'rate', 45 * SECOND],
  ['in 5 min.', 429, said('Retry in 5 min.'), 'rate', 5 * MINUTE],
  ['Italian', 429, said('Riprova tra 20 secondi'), 'rate', 20 * SECOND],
  ['Italian day', 429, said('Limite giornaliero raggiunto'), 'quota', null, DAY],
  ['Dutch day', 429, said('Dagelijkse limiet bereikt'), 'quota', null, DAY],
  ['Turkish day', 429, said('Günlük istek sınırına ulaşıldı'), 'quota', null, DAY],
  ['Italian money', 429, said('Credito insufficiente'), 'quota'],
  ['pt wait', 429, said('Tente novamente em 20 segundos'), 'rate', 20 * SECOND],
  [
    'HF credits',
    402,
    { error: 'You have exceeded your monthly included credits for Inference Providers.' },
    'quota',
  ],
  [
    'Together',
    503,
    said('The server is overloaded or not ready yet.', { type: 'server_error', code: 'service_unavailable' }),
    'overload',
  ],
  [
    'Cerebras day',
    429,
    {
      message: 'Tokens per day limit exceeded - too many tokens processed.',
      type: 'too_many_tokens_error',
      param: 'quota',
      code: 'token_quota_exceeded',
    },
    'quota',
    null,
    DAY,
    'tokens',
  ],
  [
    'Cerebras min',
    429,
    {
      message: 'Tokens per minute limit exceeded - too many tokens processed.',
      type: 'too_many_tokens_error',
      param: 'quota',
      code: 'token_quota_exceeded',
    },
    'rate',
    null,
    MINUTE,
    'tokens',
  ],
  [
    'context len',
    400,
    said(
      "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
      { code: 'context_length_exceeded' },
    ),
    undefined,
  ],
  ['login', 401, said('Incorrect API key provided', { code: 'invalid_api_key' }), undefined],
  ['tools', 400, said('quota tool not found'), undefined],
  [
    'content filter',
    400,
    said('content filtered: the limit of my day', { code: 'content_filter' }),
    undefined,
  ],
  ['tokens over afford', 402, said('You requested 5,000 tokens but can only afford 1,200'), 'oversize'],
  [
    'prompt too large TPM',
    429,
    said(
      'Request too large for model in organization on tokens per minute (TPM): Limit 6000, Requested 7231, please reduce your message size',
      { code: 'rate_limit_exceeded', type: 'tokens' },
    ),
    'oversize',
  ],
  [
    'gemini limit 0 array',
    429,
    [{ error: { code: 429, status: 'RESOURCE_EXHAUSTED', message: 'quota exceeded, limit: 0' } }],
    'oversize',
  ],
  ['approx requested', 429, said('Limit: 10000 tokens, requested: approximately 12000 tokens'), 'oversize'],
  ['≈', 429, said('TPM limit 7000, used 0, requested ≈12,903'), 'oversize'],
  ['limit 1M', 429, said('Limit 1.000.000, Used 0, Requested 2.000.000'), 'oversize'],
  [
    'Requested more',
    429,
    said('Your request of 12000 tokens exceeds the per-minute limit of 10000 tokens'),
    'oversize',
  ],
]

export const moreAnswers: readonly Answer[] = rows.map(([name, status, body, kind, waitMs, perMs, of]) => ({
  ...{ name, status, body, kind },
  ...(waitMs !== undefined && { waitMs }),
  ...(perMs && { perMs }),
  ...(of && { of }),
}))
