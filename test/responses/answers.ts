/**
 * Refusals of providers, with the expected classification. Taken from public bug reports, error pages and the
 * SDKs' own error classes. Each represents a kind.
 */

export interface Answer {
  readonly name: string
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly kind: 'rate' | 'overload' | 'quota' | 'oversize' | undefined
  /** In ms; null: no wait may be read from it. */
  readonly waitMs?: number | null
  readonly perMs?: number
  readonly of?: string
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const said = (message: string, fields: object = {}) => ({ error: { message, ...fields } })
const rate = (message: string, more: Partial<Answer> = {}): Answer => ({
  name: message,
  status: 429,
  body: said(message),
  kind: 'rate',
  ...more,
})
const quota = (message: string, more: Partial<Answer> = {}): Answer => ({
  ...rate(message, more),
  kind: 'quota',
})

/** A window of a day or longer without a wait: no call succeeds today. */
const longWindows: Answer[] = [
  {
    name: 'Bedrock, tokens per day',
    status: 429,
    body: {
      __type: 'ThrottlingException',
      message: 'Too many tokens per day, please wait before trying again.',
    },
    kind: 'quota',
    perMs: DAY,
    of: 'tokens',
    waitMs: null,
  },
  {
    name: 'Google, a quota of a day by its details',
    status: 429,
    body: {
      error: {
        code: 429,
        status: 'RESOURCE_EXHAUSTED',
        message:
          "Quota exceeded for quota metric 'Gemini 2.5 Pro Requests' and limit 'Gemini 2.5 Pro Requests per day per user per tier'.",
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
            reason: 'RATE_LIMIT_EXCEEDED',
            metadata: { quota_limit: 'Gemini25ProRequestsPerDayPerUserPerTier', quota_limit_value: '100' },
          },
        ],
      },
    },
    kind: 'quota',
    perMs: DAY,
  },
  quota('Rate limit exceeded: free-models-per-day-high-balance. ', { perMs: DAY }),
  {
    name: 'Cloudflare, in a list of errors',
    status: 429,
    body: {
      errors: [{ code: 4006, message: 'you have used up your daily free allocation of 10,000 neurons' }],
      success: false,
    },
    kind: 'quota',
    perMs: DAY,
  },
  quota('You are using a Trial key, which is limited to 1000 API calls / month', { perMs: 30 * DAY }),
  quota('You have hit the daily rate limit.', { perMs: DAY }),
  quota('Rate limit: 200 requests/day', { perMs: DAY }),
  quota('RPD limit reached for this model', { perMs: DAY }),
  quota('You exceeded your 24 hour quota', { perMs: DAY }),
  quota('no', {
    name: 'a code alone',
    body: { error: { code: 'daily_limit_exceeded', message: 'no' } },
    perMs: DAY,
  }),
  quota('Monthly token limit reached for this key', { perMs: 30 * DAY }),
  quota('You have reached your weekly usage limit, upgrade to continue', { perMs: 7 * DAY }),
  quota('Tageslimit erreicht', { perMs: DAY }),
  quota('Das monatliche Kontingent ist erschöpft', { perMs: 30 * DAY }),
  quota('Vous avez atteint votre limite quotidienne', { perMs: DAY }),
  quota('Has superado tu límite diario de solicitudes', { perMs: DAY }),
  quota('Você atingiu o limite diário de uso', { perMs: DAY }),
  quota('已达到每日调用上限', { perMs: DAY }),
  quota('今日免费额度已用完，请明天再试', { perMs: DAY }),
  quota('1日の上限に達しました', { perMs: DAY }),
  quota('일일 사용 한도를 초과했습니다', { perMs: DAY }),
  quota('Превышен дневной лимит запросов', { perMs: DAY }),
  // A given wait is waited for.
  rate(
    'Rate limit reached for llama on tokens per day (TPD): Limit 500000, Used 499000, Requested 2000. Please try again in 9m38s.',
    { perMs: DAY, waitMs: 578_000, of: 'tokens' },
  ),
  rate('Daily quota is nearly used', { headers: { 'retry-after': '30' }, waitMs: 30_000 }),
  // Short windows stay what they are, whatever else is spoken of.
  rate('Rate limit exceeded, limit 500 per min, try again in 2s. Daily limits: see our page', {
    perMs: MINUTE,
    waitMs: 2000,
  }),
  rate("Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'", { perMs: MINUTE }),
  rate('请求过于频繁，请稍后再试'),
  rate('Too many requests today, slow down: 60 requests per minute'.replace(' today', ''), { perMs: MINUTE }),
]

const spentAccounts: Answer[] = [
  ...[429, 403].map((status): Answer => ({
    name: `xAI, ${status}`,
    status,
    body: {
      code: 'Some resource has been exhausted',
      error:
        'Your team abc has either used all available credits or reached its monthly spending limit. To continue making API requests, buy more.',
    },
    kind: 'quota',
  })),
  quota('', { name: 'Zhipu', body: { error: { code: '1113', message: '余额不足或无可用资源包,请充值。' } } }),
  quota('', {
    name: 'MiniMax',
    body: {
      type: 'error',
      error: { type: 'insufficient_balance_error', message: 'insufficient balance (1008)' },
    },
  }),
  quota('', {
    name: 'ChatGPT plans: a limit that resets in hours',
    body: {
      error: {
        type: 'usage_limit_reached',
        message: 'The usage limit has been reached',
        resets_in_seconds: 13_872,
      },
    },
    waitMs: 13_872_000,
  }),
  quota('Insufficient Balance', { status: 402 }),
  quota('', {
    name: 'Moonshot',
    body: {
      error: {
        type: 'exceeded_current_quota_error',
        message: 'Your account is suspended, please check your plan',
      },
    },
  }),
  quota('', {
    name: 'DashScope, in arrears',
    status: 400,
    body: { code: 'Arrearage', message: 'Access denied, please make sure your account is in good standing.' },
  }),
  quota('You have run out of credits. Please top up your account.'),
  quota('Your credit balance is too low', { status: 403 }),
  quota('残高不足のためリクエストを処理できません'),
  quota('크레딧이 부족합니다', { status: 403 }),
  quota('Saldo insuficiente'),
  quota('Spending limit reached for this project'),
]

const neverPass: Answer[] = [
  {
    name: 'Gemini, a limit of 0',
    status: 429,
    body: said(
      'Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 0, model: gemini-2.5-pro\nPlease retry in 26s.',
      { code: 429, status: 'RESOURCE_EXHAUSTED' },
    ),
    kind: 'oversize',
  },
  {
    name: 'Google, a limit of 0 in the details',
    status: 429,
    body: {
      error: {
        code: 429,
        status: 'RESOURCE_EXHAUSTED',
        message: 'Quota exceeded',
        details: [{ metadata: { quota_limit: 'RequestsPerMinute', quota_limit_value: '0' } }],
      },
    },
    kind: 'oversize',
  },
  {
    name: 'Groq, an estimate above the limit',
    status: 429,
    body: said('on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903', {
      code: 'rate_limit_exceeded',
    }),
    kind: 'oversize',
  },
  {
    name: 'Anthropic, long context',
    status: 429,
    body: {
      type: 'error',
      error: { type: 'rate_limit_error', message: 'Extra usage is required for long context requests.' },
    },
    kind: 'oversize',
  },
  {
    name: 'OpenRouter, a smaller call could be paid',
    status: 402,
    body: said(
      'This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 12000.',
      { code: 402 },
    ),
    kind: 'oversize',
  },
  rate('Limit 10, Used 3, Requested 8. Please try again in 4s', { waitMs: 4000 }),
]

const waits: Answer[] = [
  rate('Please wait 71 minutes before trying again', { waitMs: 71 * MINUTE }),
  rate('wait 6 seconds for your limit to reset', { waitMs: 6000 }),
  rate('Limit resets at: 2026-11-21 20:00:40 UTC', { waitMs: 40_000 }),
  rate('Too many requests. resets at 2026-11-21T23:00:00Z', { waitMs: 3 * HOUR }),
  rate('Blocked until 2026-11-21T21:01:00+01:00', { waitMs: MINUTE }),
  rate('Try again in about 5 minutes', { waitMs: 5 * MINUTE }),
  rate('Resets in 1 hour and 5 minutes', { waitMs: 65 * MINUTE }),
  rate('请在 6 秒后重试', { waitMs: 6000 }),
  rate('20秒後に再試行してください', { waitMs: 20_000 }),
  rate('30초 후에 다시 시도하세요', { waitMs: 30_000 }),
  rate('Bitte warten Sie 6 Sekunden', { waitMs: 6000 }),
  rate('Réessayez dans 2 minutes', { waitMs: 2 * MINUTE }),
  rate('Inténtalo de nuevo en 15 segundos', { waitMs: 15_000 }),
  rate('Повторите через 20 секунд', { waitMs: 20_000 }),
  rate('', {
    name: 'retry_after, a number',
    body: { message: 'You are being rate limited.', retry_after: 9 },
    waitMs: 9000,
  }),
  rate('', { name: 'retryAfterMs', body: { detail: { retryAfterMs: 30_000 } }, waitMs: 30_000 }),
  rate('', {
    name: 'reset_at, in seconds since 1970',
    body: { error: { reset_at: Date.parse('2026-11-21T20:00:30Z') / 1000 } },
    waitMs: 30_000,
  }),
  {
    name: 'estimated_time',
    status: 503,
    body: { error: 'Model is currently loading', estimated_time: 20.0 },
    kind: 'overload',
    waitMs: 20_000,
  },
  rate('', { name: 'retry_count is no wait', body: { retry_count: 9, message: 'slow' }, waitMs: null }),
  rate('We will retry 3 more times', { waitMs: null }),
]

const busy: Answer[] = [
  { name: 'busy, in words', status: 503, body: { error: 'server busy, please try again' }, kind: 'overload' },
  {
    name: 'a code with the status of a rate',
    status: 429,
    body: said('The engine is currently overloaded, please try again later', {
      type: 'engine_overloaded_error',
    }),
    kind: 'overload',
  },
  {
    name: 'Anthropic',
    status: 529,
    body: { type: 'error', error: { type: 'overloaded_error' } },
    kind: 'overload',
  },
  { name: 'Gemini', status: 503, body: { error: { code: 503, status: 'UNAVAILABLE' } }, kind: 'overload' },
  {
    name: 'DashScope: its tokens per minute in the words of a spent quota',
    status: 429,
    body: {
      error: {
        code: 'insufficient_quota',
        type: 'insufficient_quota',
        param: 'insufficient_quota',
        message: 'You exceeded your current quota, see https://example.com/error-code#token-limit',
      },
    },
    kind: 'rate',
  },
  {
    name: 'DashScope, its own dialect',
    status: 429,
    body: {
      code: 'Throttling.AllocationQuota',
      message: 'Allocated quota exceeded, please increase your quota limit.',
    },
    kind: 'rate',
  },
]

export const answers: readonly Answer[] = [...longWindows, ...spentAccounts, ...neverPass, ...waits, ...busy]
