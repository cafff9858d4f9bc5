// Prices of calls. The `prices` of the pool come first, then the optional package `@pydantic/genai-prices`. With a
// budget in USD, a model without a known price is an error, because it could spend without limit.

import type { calcPrice } from '@pydantic/genai-prices'
import { type Billed, estimateTokens, LimiterError } from 'llmiter'
import { fields, isObject, number, text } from '../lib/validate.ts'
import { modelOf } from './budgets.ts'
import type { PoolCall } from './pool-call.ts'

/** Prices in USD per million tokens. */
export interface ModelPrice {
  /** USD per million input tokens. */
  readonly input: number
  /** USD per million output tokens. */
  readonly output: number
  /**
   * USD per million input tokens read from the provider's cache.
   * @default the price of `input`
   */
  readonly cachedInput?: number
}

/** Prices by model: a name, a prefix (`'gpt-5*'`), or `default`. Or a function, which may return undefined. */
export type Prices = Readonly<Record<string, ModelPrice>> | ((model: string) => ModelPrice | undefined)

/** A budget counts USD, but the price of the model is unknown. */
export class UnknownPriceError extends LimiterError {
  /** The name of the class. */
  override name = 'UnknownPriceError'
  static readonly code = 'UNKNOWN_PRICE'
}

/** The price of these tokens in USD. Undefined if unknown. */
export type Pricing = (model: string, tokens: Billed) => number | undefined

export const PRICES_PACKAGE: string = '@pydantic/genai-prices'

type PricesPackage = { calcPrice: typeof calcPrice }

/** Undefined if the package is not installed. */
export async function pricesOfPackage(): Promise<Pricing | undefined> {
  let found: PricesPackage
  try {
    // Imported by a variable, so that bundlers do not look for an optional package.
    found = (await import(/* @vite-ignore */ /* webpackIgnore: true */ PRICES_PACKAGE)) as PricesPackage
  } catch {
    return undefined
  }
  return (model, { input, cached, output }) =>
    found.calcPrice({ input_tokens: input, cache_read_tokens: cached, output_tokens: output }, model)
      ?.total_price
}

export function parsePrices(prices: Prices | undefined): Pricing {
  if (prices === undefined) return () => undefined
  if (typeof prices === 'function')
    return (model, tokens) => priced(checked(prices(model), `prices(${text(model)})`), tokens)
  if (!isObject(prices) || Array.isArray(prices))
    throw new TypeError(
      `prices must be an object with the prices of each model, or a function, got ${text(prices)}`,
    )
  for (const [model, price] of Object.entries(prices)) checked(price, `prices[${text(model)}]`)
  const families = Object.keys(prices)
    .filter((name) => name.endsWith('*'))
    .sort((a, b) => b.length - a.length)
  return (model, tokens) => {
    const name = Object.hasOwn(prices, model)
      ? model
      : (families.find((family) => model.startsWith(family.slice(0, -1))) ?? 'default')
    return priced(Object.hasOwn(prices, name) ? prices[name] : undefined, tokens)
  }
}

function checked(price: ModelPrice | undefined, name: string): ModelPrice | undefined {
  if (price === undefined) return undefined
  fields(price, name, ['input', 'output', 'cachedInput'])
  number(price.input, `${name}.input`, 'a number of at least 0')
  number(price.output, `${name}.output`, 'a number of at least 0')
  if (price.cachedInput !== undefined)
    number(price.cachedInput, `${name}.cachedInput`, 'a number of at least 0')
  return price
}

function priced(price: ModelPrice | undefined, { input, cached, output }: Billed): number | undefined {
  if (!price) return undefined
  const { cachedInput = price.input } = price
  return ((input - cached) * price.input + cached * cachedInput + output * price.output) / 1e6
}

/** Upper bounds of what a call may use, from several readings. The most expensive one counts. */
export function boundOf(call: PoolCall, maxOutputTokens: number): Billed[] {
  const { cost, request } = call
  if (cost?.tokens !== undefined && cost.inputTokens === undefined && cost.outputTokens === undefined) {
    const { tokens } = cost
    return [
      { input: tokens, cached: 0, output: 0 },
      { input: 0, cached: 0, output: tokens },
    ]
  }
  if (request === undefined && (cost?.inputTokens === undefined || cost.outputTokens === undefined))
    throw new TypeError(
      'a budget of tokens or USD needs the request or the cost of each call, to know what it may use',
    )
  const estimate = estimateTokens([request])
  const input = cost?.inputTokens ?? Math.max(estimate.inputTokens, textBound(request))
  const output = cost?.outputTokens ?? answersOf(request) * outputOf(call, maxOutputTokens)
  return [{ input, cached: 0, output }]
}

const MAX_OUTPUT = /^max_?(completion_?|output_?|new_?)?tokens$/i

/**
 * The maximum output of one answer. For a request object, the bound is read only from the fields that providers
 * read. A field of the same name in metadata or messages does not count.
 */
function outputOf(call: PoolCall, otherwise: number): number {
  const { request } = call
  if (!isObject(request) || Array.isArray(request))
    return estimateTokens([request]).maxOutputTokens ?? otherwise
  const { config, generationConfig, inferenceConfig } = request
  const said = [request, config, generationConfig, inferenceConfig]
    .flatMap((place) => Object.entries(Object(place) as object))
    .flatMap(([name, value]) =>
      typeof value === 'number' && value > 0 && MAX_OUTPUT.test(name) ? [value] : [],
    )
  if (said.length > 0) return Math.max(...said)
  return estimateTokens([{ model: modelOf(call) }]).maxOutputTokens ?? otherwise
}

/** How many answers a request asks for. */
function answersOf(request: unknown): number {
  const { n, best_of, config, generationConfig } = Object(request) as Record<
    string,
    Record<string, unknown> | undefined
  >
  const counts = [n, best_of, config?.['candidateCount'], generationConfig?.['candidateCount']]
  return Math.max(1, ...counts.filter((count): count is never => Number.isInteger(count)))
}

const OVERHEAD = 8
const MOST_NODES = 100_000

/** The size of the text in bytes, because a token is at least one byte. Media are estimated elsewhere. */
function textBound(request: unknown): number {
  let bytes = OVERHEAD
  let nodes = 0
  const walk = (value: unknown): void => {
    if (++nodes > MOST_NODES) return
    if (typeof value === 'string')
      bytes += isMedia(value) ? 0 : OVERHEAD + new TextEncoder().encode(value).length
    else if (Array.isArray(value)) for (const item of value) walk(item)
    else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
      for (const [key, item] of Object.entries(value)) {
        bytes += key.length
        walk(item)
      }
    }
  }
  walk(request)
  return bytes
}

const isMedia = (value: string) =>
  value.startsWith('data:') || (value.length > 1000 && !/\s/.test(value.slice(0, 1000)))
