// The configuration of a gateway as a JSON schema: editors complete by it, `--check` checks by it, and the reference in
// docs/gateway.md is made from it.

/** The part of JSON Schema that is used here. */
export interface Schema {
  readonly description?: string
  readonly type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean'
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Schema | false
  readonly items?: Schema
  readonly minItems?: number
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly pattern?: string
  readonly anyOf?: readonly Schema[]
  readonly default?: unknown
  readonly $schema?: string
  readonly title?: string
}

/** What a header can hold. */
export const NAME = '^[!-~]([ -~]*[!-~])?$'

const duration: Schema = {
  anyOf: [
    { type: 'number', exclusiveMinimum: 0 },
    { type: 'string', pattern: '^\\d*\\.?\\d+\\s*(ms|s|m|h|d)$' },
  ],
}
const time = (description: string): Schema => ({
  description: `${description} Ms, or a text such as '30s'.`,
  ...duration,
})
const amount = (description: string): Schema => ({ description, type: 'number', exclusiveMinimum: 0 })
const count = (description: string): Schema => ({ description, type: 'integer', minimum: 1 })
const text = (description: string): Schema => ({ description, type: 'string', pattern: '.' })
/** It stands in headers. */
const name = (description: string): Schema => ({ description, type: 'string', pattern: NAME })
const secret = (description: string): Schema => ({
  description: `${description} 'env:NAME' or 'file:PATH', whose mode is 0600.`,
  type: 'string',
  pattern: '^(env|file):.',
})

const limits: Schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    requestsPerSecond: amount('Requests a second.'),
    requestsPerMinute: amount('Requests a minute.'),
    requestsPerHour: amount('Requests an hour.'),
    requestsPerDay: amount('Requests a day.'),
    tokensPerMinute: amount('Input and output tokens a minute.'),
    inputTokensPerMinute: amount('Input tokens a minute.'),
    outputTokensPerMinute: amount('Output tokens a minute.'),
    tokensPerDay: amount('Input and output tokens a day.'),
    maxConcurrent: count('Calls in flight at once.'),
    burst: count('Requests that may go at once after a pause.'),
  },
}

const budget: Schema = {
  type: 'object',
  required: ['per'],
  additionalProperties: false,
  properties: {
    requests: amount('The most requests in a period.'),
    tokens: amount('The most input and output tokens in a period.'),
    usd: amount('The most US dollars in a period.'),
    per: {
      description: "'day', 'week', 'month' or 'year' by the calendar, or a duration.",
      anyOf: [{ enum: ['day', 'week', 'month', 'year'] }, duration],
    },
    timeZone: text('Of a period of the calendar: an IANA name. Default UTC.'),
    by: { description: 'Each has a budget of its own.', enum: ['tenant', 'model'] },
    name: text('For errors and statistics.'),
  },
}

const price: Schema = {
  type: 'object',
  required: ['input', 'output'],
  additionalProperties: false,
  properties: {
    input: { description: 'USD for a million input tokens.', type: 'number', minimum: 0 },
    output: { description: 'USD for a million output tokens.', type: 'number', minimum: 0 },
    cachedInput: { description: 'USD for a million input tokens from a cache.', type: 'number', minimum: 0 },
  },
}

const target: Schema = {
  type: 'object',
  required: ['name', 'protocol', 'apiKey'],
  additionalProperties: false,
  properties: {
    name: name('Its name in headers, errors, the ledger and statistics.'),
    protocol: { description: 'What it speaks.', enum: ['openai', 'anthropic', 'gemini'] },
    apiKey: secret("The provider's key:"),
    baseUrl: {
      description: "Where it listens. Default: the provider's own address.",
      type: 'string',
      pattern: '^https?://.',
    },
    headers: {
      description: 'More headers of each call to it.',
      type: 'object',
      additionalProperties: { type: 'string' },
    },
    weight: { description: 'Its share among targets of its tier. Default 1.', type: 'number', minimum: 0 },
    tier: {
      description: 'Tiers are tried in order, the lowest first. Default 1.',
      type: 'number',
      minimum: 0,
    },
    limits: {
      description: 'Its limits, over all models. Default: what the provider tells, for each model.',
      ...limits,
    },
    models: {
      description: "Limits of single models; 'default' is for the others.",
      type: 'object',
      additionalProperties: limits,
    },
    includeUsage: {
      description: 'Whether streams of chats are asked for their usage. Default true.',
      type: 'boolean',
    },
    timeout: time(
      'The longest wait for an answer to begin, and the longest silence of a stream. Default 10m.',
    ),
  },
}

export const CONFIG_SCHEMA: Schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'llmiter.config.json',
  type: 'object',
  additionalProperties: false,
  properties: {
    $schema: { description: 'For editors.', type: 'string' },
    host: text('The address on which it listens. Default 127.0.0.1; any other needs keys.'),
    port: { description: 'The port. Default 8787.', type: 'integer', minimum: 0, maximum: 65_535 },
    targets: {
      description: 'The keys of the providers. Default: those of the environment.',
      type: 'array',
      minItems: 1,
      items: target,
    },
    routes: {
      description:
        "Portkey's config objects, by the names that calls give in x-portkey-config; 'default' is for the others.",
      type: 'object',
      additionalProperties: { type: 'object' },
    },
    queue: {
      description: 'How much may wait.',
      type: 'object',
      additionalProperties: false,
      properties: {
        max: count('Calls that may wait. Default 10,000.'),
        maxBytes: count('Bytes of the bodies of all calls in hand. Default 256,000,000.'),
      },
    },
    maxWait: time('Calls that would wait longer are refused. Default: none.'),
    waitComments: time('Streams that wait get a comment so often. Default: none.'),
    drain: time('How long calls may wait after SIGTERM. Default 30s.'),
    budgets: { description: 'What may be spent in all.', type: 'array', items: budget },
    prices: {
      description:
        "By model: a name, a beginning of names such as 'gpt-5*', or 'default'. They win over those of @pydantic/genai-prices.",
      type: 'object',
      additionalProperties: price,
    },
    maxOutputTokens: count('Reserved under a budget for a call that sets no bound itself. Default 16,384.'),
    state: text('The folder of keys, ledger and snapshot. Default: llmiter-gateway.'),
    redis: {
      description:
        'Limits and budgets hold over all gateways that use this Redis. It needs the package ioredis or redis.',
      type: 'object',
      required: ['url'],
      additionalProperties: false,
      properties: {
        url: {
          description: "'redis://HOST:PORT' without a password, or 'env:NAME' or 'file:PATH' with one.",
          type: 'string',
          pattern: '^((env|file):|rediss?://(?![^/]*@)).',
        },
        prefix: text("What all keys begin with. Default 'llmiter:'."),
        processes: count(
          'How many gateways there are: the share of one that has never reached Redis. Default: it waits.',
        ),
      },
    },
    adminKey: secret('The key for /-/status and /-/metrics:'),
  },
}
