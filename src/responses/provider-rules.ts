/**
 * The refusals of all providers: one rule per row with its source above it, tried in order. The first row that
 * matches decides. Rows for refusals that waiting cannot resolve come before rows for those that it can, because
 * providers use the same status for both, and often the same code.
 *
 * A pattern is matched against the whole answer, rendered as lines (see error-text.ts): 'http 429' first, then
 * 'code:slow_down', 'message:Slow down, please' and so on. So `:slow_down$` matches a code and never prose, and
 * `^http 400$[^]*words` ties prose to a status.
 *
 * No row depends on which provider answered. An answer rarely identifies its sender (gateways and
 * OpenAI-compatible servers are common), so each pattern is specific enough to be tried on every answer. A new
 * provider takes a few rows.
 */

import { DAY, HOUR, MINUTE, SECOND } from '../lib/units.ts'
import type { RefusalKind } from './verdict.ts'

export interface Rule {
  /** `aborted`: the call was aborted, so nothing else in the answer matters. */
  readonly kind: RefusalKind | 'transient' | 'aborted'
  readonly when: RegExp
}

/** Prose counts only next to a status or code that providers use for refusals. */
const turnedAway = (words: string) => new RegExp(`${TURNED_AWAY}[^]*(${words})`, 'im')
const TURNED_AWAY = '(^http 4(00|02|03|29)$|^http u\\w+$[^]*^(code|type):\\w)'

const MONEY = 'credits?|balance|funds|saldo|solde|guthaben|crédits?|cr[ée]ditos?|credito|средств'
const GONE =
  'insufficient|not enough|no (more|remaining|available)|(ran|run|runs) out of|out of|used( up)? all( of)?|exhausted|depleted|too low|insuffisante?s?|insuficientes?|nicht (genug|genügend)|aufgebraucht|недостаточно'

export const rules: readonly Rule[] = [
  // DOM, Node, axios, undici: an abort is never retried, whatever it encloses
  {
    kind: 'aborted',
    // SDK timeouts abort the fetch and enclose that abort error.
    when: /^http .*\n(?![^]*:request timed out)[^]*:(AbortError|ABORT_ERR|ERR_CANCELED|RequestAbortedError)$/im,
  },

  // This call can never pass, but other calls may.
  // OpenRouter: the balance still covers smaller calls
  {
    kind: 'oversize',
    when: /^http 402$[^]*(can only afford|fewer max_tokens|requested up to [\d,]+ tokens)/im,
  },
  // Gemini: the limit is 0, because the tier does not include the model
  {
    kind: 'oversize',
    when: /(^http 4(03|29)|:(rate_limit_exceeded|RESOURCE_EXHAUSTED))$[^]*(\blimit: ?0(?![\d.,]*\d)|^quota_?(limit_)?value:0$)/im,
  },
  // Anthropic and resellers: the plan does not include such calls
  {
    kind: 'oversize',
    when: /(^http 4(03|29)|:rate_limit_e\w+)$[^]*(extra usage is required|required for long[- ]context|long[- ]context \w+ (is|are) not|(requires?|upgrade to) an? (higher|paid|pro|different) (plan|tier)|not (available|included|supported) (in|on|for|with) (your|this|the (free|current)) (\w+ )?(plan|tier|subscription))/im,
  },
  // HTTP, Anthropic, Groq
  { kind: 'oversize', when: /^http 413$/m },
  // OpenAI: the code for a call sent too early
  {
    kind: 'oversize',
    when: /(^http 429|:rate_limit_exceeded)$[^]*(request|prompt|input) (is )?too (large|long|big)/im,
  },
  // Gemini
  {
    kind: 'oversize',
    when: /^http 400$[^]*token count .*exceeds the maximum/m,
  },

  // Worded as a quota, but resolved within a minute.
  // DashScope: limits per minute; for OpenAI, `param` is null
  {
    kind: 'rate',
    when: /#(token|rate)-limit\b|^param:insufficient_quota$|:Throttling\.(RateQuota|AllocationQuota|BurstRate)$/m,
  },

  // The credit or a long quota is used up. No call succeeds until the account is paid or the window ends.
  // HTTP, OpenRouter, DeepSeek
  { kind: 'quota', when: /^http 402$/m },
  // Gemini
  { kind: 'quota', when: /^quota(Id|_limit):.*Per(Day|Week|Month)/m },
  // OpenAI, Anthropic, MiniMax, Moonshot, DashScope, Bedrock
  {
    kind: 'quota',
    when: /:(insufficient_quota|billing_hard_limit_reached|billing_not_active|credit_balance_exhausted|\w*insufficient_?(balance|credits?)\w*|(organization|project|enforced)_(spend|usage)_limit_(exceeded|reached)|usage_limit_(reached|exceeded)|(free_?tier|free)_quota_\w+|Arrearage|\w*\.?FreeTierOnly|ServiceQuotaExceededException|(token_)?quota_?reached|quota_?exceeded|budget_exceeded|dailyLimitExceeded|exceeded_current_quota_error|account_(deactivated|suspended))$/im,
  },
  // Anthropic (a 400), xAI, Together, DeepInfra, Perplexity: only the prose tells, not the type
  {
    kind: 'quota',
    when: turnedAway(
      `(${GONE})[\\s,]+([^\\s:.]+[\\s,]+){0,5}?(${MONEY})\\b|\\b(${MONEY})[\\s,]+([^\\s:.]+[\\s,]+){0,4}?(${GONE})|(reached|exceeded|hit|over)[\\s,]+([^\\s:.]+[\\s,]+){0,4}?(spend(ing)?|billing|budget|credit)[\\s,]+([^\\s:.]+[\\s,]+){0,2}?(limit|cap)|(spend(ing)?|billing|budget|credit) (limit|cap) [^.]{0,30}(reached|exceeded)|(spend(ing)?|budget)( limit)? (has been|was|is) (exceeded|reached)|payment (is )?required|overdue|arrears|specified \\w+ usage limits`,
    ),
  },
  // OpenRouter, Azure API Management, IBM: a status that is never used for limits per minute
  {
    kind: 'quota',
    when: /^http 403$[^]*(\b(key|usage|total|daily|weekly|monthly|token|request|volume|credit)s?( \w+)? (limit|quota)s?( is| was| has been)? (exceeded|reached|used up)|\bout of ([\w-]+ ){0,3}quota)/im,
  },
  // Zhipu, Moonshot, DeepSeek, Volcengine and others, in their own languages
  {
    kind: 'quota',
    when: turnedAway(
      '余额不足|餘額不足|欠费|欠費|无可用资源包|额度(不足|已用[完尽]|耗尽)|配额(已用[完尽]|不足|耗尽)|账户.{0,6}(停用|冻结)|残高(が)?不足|残高がありません|クレジット.{0,6}(不足|足りません|ありません)|잔액.{0,4}부족|크레딧.{0,6}(부족|소진)|할당량.{0,4}소진',
    ),
  },

  // The provider is overloaded, regardless of the limits.
  // OpenAI: the load grew too fast; formerly a 503, now also a 429
  {
    kind: 'overload',
    when: /:slow_down$/m,
  },
  // HTTP; Groq (498); Anthropic (529); OpenAI, Gemini and Bedrock in streams, which have no status
  {
    kind: 'overload',
    when: /(^http (498|503|529)|:(overloaded(_error)?|(server|engine|model|system)(_?is)?_?overloaded(_error)?|service_unavailable(_error)?|server_busy|UNAVAILABLE|ServiceUnavailable(Exception|Error)?|ModelNotReadyException))$/im,
  },
  // Mistral, Cloudflare, DeepInfra, Zhipu: the model is overloaded, in general or for the account's tier
  {
    kind: 'overload',
    when: /^http 429$[^]*(capacity (is |was |has been )?(temporarily )?exceeded|(server|model|engine|system|service)s? ((is|are) )?(currently |temporarily )?(overloaded|busy|(at|over) capacity)|服务器?繁忙|负载过高|访问量过大|混み合っています)/im,
  },
  // OpenRouter: the chosen upstream failed, and the next call may use another
  {
    kind: 'overload',
    when: /^http 502$[^]*provider returned error/im,
  },

  // HTTP; OpenAI, Anthropic, Mistral, Gemini, Bedrock and Azure in streams, which have no status
  {
    kind: 'rate',
    when: /((^http |:)429|:(rate_?limit(ed|_exceeded|_reached)?(_error)?|user_?rate_?limit_?exceeded|too_?many_?(requests|tokens)(_error|Exception)?|RESOURCE_EXHAUSTED|Throttl(ing|ed)(Exception)?|RequestLimitExceeded))$/im,
  },

  // HTTP
  {
    kind: 'transient',
    when: /^http (5..|40[89])$/m,
  },
  // Node, undici, browsers, SDKs: a lost connection, a timeout, or a broken stream
  {
    kind: 'transient',
    when: /^http u[^]*(:(ECONN|E\w+UNREACH$|ETIMEDOUT|EPIPE|EAI_AGAIN|ENOTFOUND|ERR_NETWORK|UND_ERR_(SO|\w+TIMEOUT)|(Request)?TimeoutError$|(server|api|timeout)_error$|(InternalServer|ModelStreamError|ModelTimeout)Exception$|failed to fetch|load failed|networkerror|request timed out|connection error|"timeout)|fetch failed)/im,
  },
]

/** The load grew too fast, so the limiter returns to its earlier rate. */
export const slowDown = /:slow_down$|:Throttling\.BurstRate$|usage increase rate/m

/** The name of a header, with `*` for limit, remaining or reset; what it counts; and its window, if known. */
export type LimitHeader = readonly [name: string, of: string, perMs?: number]

export const limitHeaders: readonly LimitHeader[] = [
  // OpenAI, Azure, Groq
  ['x-ratelimit-*-requests', 'requests', MINUTE],
  ['x-ratelimit-*-tokens', 'tokens', MINUTE],
  ['x-ratelimit-*-project-tokens', 'tokens', MINUTE],
  // Anthropic
  ['anthropic-ratelimit-requests-*', 'requests', MINUTE],
  ['anthropic-ratelimit-tokens-*', 'tokens', MINUTE],
  ['anthropic-ratelimit-input-tokens-*', 'inputTokens', MINUTE],
  ['anthropic-ratelimit-output-tokens-*', 'outputTokens', MINUTE],
  // Mistral
  ['x-ratelimit-*-tokens-minute', 'tokens', MINUTE],
  ['x-ratelimit-*-req-minute', 'requests', MINUTE],
  ['x-ratelimit-*-requests-hour', 'requests', HOUR],
  ['x-ratelimit-*-requests-day', 'requests', DAY],
  ['x-ratelimit-*-tokens-day', 'tokens', DAY],
  // Fireworks
  ['x-ratelimit-*-tokens-prompt', 'inputTokens', SECOND],
  ['x-ratelimit-*-tokens-generated', 'outputTokens', SECOND],
  // OpenRouter and many gateways; the window is not given
  ['x-ratelimit-*', 'requests'],
  // Older IETF drafts; the window is not given, unless RateLimit-Policy names it
  ['ratelimit-*', 'requests'],
]
