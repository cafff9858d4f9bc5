// The configuration of a gateway as a JSON schema: editors use it for completion, `--check` for validation, and
// the reference in docs/gateway.md is generated from it.

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

/** The characters allowed in a header. */
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
/** It is sent in headers. */
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
    tokensPerMinute: amount('Input and output tokens per minute.'),
    inputTokensPerMinute: amount('Input tokens per minute.'),
    outputTokensPerMinute: amount('Output tokens per minute.'),
    tokensPerDay: amount('Input and output tokens per day.'),
    maxConcurrent: count('Maximum number of calls in flight.'),
    burst: count('Requests that may be sent at once after a pause.'),
  },
}

const budget: Schema = {
  type: 'object',
  required: ['per'],
  additionalProperties: false,
  properties: {
    requests: amount('Maximum number of requests in a period.'),
    tokens: amount('Maximum number of input and output tokens in a period.'),
    usd: amount('Maximum number of US dollars in a period.'),
    per: {
      description: "'day', 'week', 'month' or 'year' by the calendar, or a duration.",
      anyOf: [{ enum: ['day', 'week', 'month', 'year'] }, duration],
    },
    timeZone: text('The time zone of a calendar period: an IANA name. Default UTC.'),
    by: { description: 'Each of these has its own budget.', enum: ['tenant', 'model'] },
    name: text('The name in errors and statistics.'),
  },
}

const price: Schema = {
  type: 'object',
  required: ['input', 'output'],
  additionalProperties: false,
  properties: {
    input: { description: 'USD per million input tokens.', type: 'number', minimum: 0 },
    output: { description: 'USD per million output tokens.', type: 'number', minimum: 0 },
    cachedInput: {
      description: 'USD per million input tokens read from a cache.',
      type: 'number',
      minimum: 0,
    },
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
      description: "The base URL. Default: the provider's own address.",
      type: 'string',
      pattern: '^https?://.',
    },
    headers: {
      description: 'Additional headers of each call to it.',
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
      description: 'Its limits over all models. Default: learned from the provider, per model.',
      ...limits,
    },
    models: {
      description: "Limits of single models; 'default' applies to the others.",
      type: 'object',
      additionalProperties: limits,
    },
    includeUsage: {
      description: 'Whether streams of chats are asked for their usage. Default true.',
      type: 'boolean',
    },
    timeout: time(
      'The maximum wait until an answer begins, and the maximum silence of a stream. Default 10m.',
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
        "Portkey's config objects, by the names in the header x-portkey-config; 'default' applies to other calls.",
      type: 'object',
      additionalProperties: { type: 'object' },
    },
    queue: {
      description: 'The limits of the queue.',
      type: 'object',
      additionalProperties: false,
      properties: {
        max: count('Maximum number of waiting calls. Default 10,000.'),
        maxBytes: count('Maximum size in bytes of the bodies of all unfinished calls. Default 256,000,000.'),
      },
    },
    maxWait: time('Calls that would wait longer are refused. Default: no limit.'),
    waitComments: time('How often a waiting stream gets a comment. Default: never.'),
    drain: time('How long calls may wait after SIGTERM. Default 30s.'),
    budgets: { description: 'Budgets over all calls.', type: 'array', items: budget },
    prices: {
      description:
        "Prices by model: a name, a prefix such as 'gpt-5*', or 'default'. They take precedence over @pydantic/genai-prices.",
      type: 'object',
      additionalProperties: price,
    },
    maxOutputTokens: count(
      'Output tokens reserved under a budget for a call that does not limit its output. Default 16,384.',
    ),
    state: text('The folder of keys, ledger and snapshot. Default: llmiter-gateway.'),
    redis: {
      description:
        'Limits and budgets are shared by all gateways that use this Redis. Needs the package ioredis or redis.',
      type: 'object',
      required: ['url'],
      additionalProperties: false,
      properties: {
        url: {
          description: "'redis://HOST:PORT' without a password, or 'env:NAME' or 'file:PATH' with one.",
          type: 'string',
          pattern: '^((env|file):|rediss?://(?![^/]*@)).',
        },
        prefix: text("The prefix of all keys. Default 'llmiter:'."),
        processes: count(
          'The number of gateways, which sets the share of one that has never reached Redis. Default: it waits.',
        ),
      },
    },
    adminKey: secret('The key for /-/status and /-/metrics:'),
  },
}
