// Names that other libraries and providers use for options of this one. `suggest.ts` describes the format.

import type { Synonyms } from './suggest.ts'

export const DIMENSION_SYNONYMS: Synonyms = {
  requests: 'call calls rpm rps rpd qps',
  tokens: 'tpm tpd',
  inputTokens: 'itpm prompttokens',
  outputTokens: 'otpm completiontokens',
}

export const LIMIT_SYNONYMS: Synonyms = {
  requestsPerSecond: 'rps qps persecond',
  requestsPerMinute: 'rpm qpm perminute rate ratelimit requests calls callsperminute maxrequests',
  requestsPerHour: 'rph perhour',
  requestsPerDay: 'rpd perday',
  tokensPerMinute: 'tpm tokens maxtokens tokenlimit',
  tokensPerDay: 'tpd',
  inputTokensPerMinute: 'itpm inputtpm prompttokensperminute',
  outputTokensPerMinute: 'otpm outputtpm completiontokensperminute maxoutputtokens',
  maxConcurrent: 'concurrency maxconcurrency concurrencylimit parallel parallelism maxinflight workers',
  burst: 'bucketsize capacity',
  amount: 'limit max count requests tokens points',
  per: 'interval windowms duration every period',
  "limits: [{ of: 'requests', amount: 10, per: '1s' }]":
    'rps qps persecond rph perhour limit max points interval intervalcap mintime duration window windowms per reservoir reservoirrefreshamount reservoirrefreshinterval tokensperinterval',
  queue: 'highwater strategy maxqueue',
  store: 'redis datastore connection',
  name: 'id label',
}

export const CALL_SYNONYMS: Synonyms = {
  'retry: { attempts: 3 }': 'retries maxretries maxattempts attempts retrylimit',
  attempts: 'retries maxretries maxattempts times count limit',
  minMs: 'delay delayms initialdelay mintimeout basedelay backoff',
  maxMs: 'maxdelay maxtimeout maxbackoff',
  maxWaitMs: 'queuetimeout waittimeout acquiretimeout',
  timeoutMs: 'deadline',
  signal: 'abort abortsignal abortcontroller controller cancel',
  tenant: 'user userid customer group key',
  cost: 'points tokens maxtokens requests rpm tpm',
}
