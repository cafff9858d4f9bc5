// Requests with a list of inputs, and answers with one result per input: joins several requests into one, and
// divides the answer.

import { text } from '../lib/validate.ts'

export type Fields = Readonly<Record<string, unknown>>

/** The field names for inputs in embedding requests, and for results in their answers. */
const INPUTS = ['input', 'inputs', 'texts', 'contents', 'values']
const RESULTS = ['data', 'embeddings']

const inputField = (request: Fields) => INPUTS.find((name) => request[name] !== undefined)

/**
 * The inputs of a request: one text, a list of texts, one text as tokens, or a list of those. Undefined if there
 * are none.
 */
export function inputsOf(request: Fields): readonly unknown[] | undefined {
  const name = inputField(request)
  const given = name === undefined ? undefined : request[name]
  if (given === undefined) return undefined
  if (!Array.isArray(given) || typeof given[0] === 'number') return [given]
  return given.length > 0 ? given : undefined
}

/** The request without its inputs, plus the type of the inputs. Requests with equal frames can be joined. */
export function frameOf(request: Fields, [first]: readonly unknown[]): Fields {
  return { ...request, [inputField(request)!]: typeof first }
}

/** One request for all inputs. A single request stays unchanged. */
export function joined(requests: readonly Fields[]): Fields {
  const [first] = requests
  if (requests.length === 1) return first!
  return { ...first, [inputField(first!)!]: requests.flatMap((request) => inputsOf(request)!) }
}

/** A part of the answer: the results of some inputs, and their share of the usage. */
export interface Share {
  readonly items: number
  readonly tokens: number
}

/**
 * Divides an answer between the requests whose inputs it holds, in their order.
 *
 * @throws TypeError when the answer does not hold exactly one result per input.
 */
export function divided(answer: unknown, shares: readonly Share[]): unknown[] {
  if (shares.length === 1) return [answer]
  const items = shares.reduce((sum, share) => sum + share.items, 0)
  const [name, results] = resultsOf(answer, items)
  const { usage } = answer as Fields
  const used = typeof usage === 'object' && usage !== null ? usageParts(usage as Fields, shares) : undefined
  let from = 0
  return shares.map((share, i) => {
    const own = results.slice(from, (from += share.items)).map(renumbered)
    return copyOf(answer as object, { [name]: own, ...(used && { usage: used[i] }) })
  })
}

function resultsOf(answer: unknown, items: number): [name: string, results: readonly unknown[]] {
  const all = Object(answer) as Fields
  const name = RESULTS.find((one) => Array.isArray(all[one]))
  const results = name === undefined ? [] : (all[name] as readonly unknown[])
  if (name === undefined || results.length !== items)
    throw new TypeError(
      `the answer to a request of ${items} inputs must hold ${items} results in ${RESULTS.join(' or ')}, ` +
        `got ${name === undefined ? text(answer) : `${results.length} in ${name}`}`,
    )
  const inOrder = [...results].sort((a, b) => (indexOf(a) ?? 0) - (indexOf(b) ?? 0))
  const wrong = inOrder.findIndex((result, i) => (indexOf(result) ?? i) !== i)
  if (wrong >= 0) throw new TypeError(`the answer to a request of ${items} inputs holds no result ${wrong}`)
  return [name, inOrder]
}

function indexOf(result: unknown): number | undefined {
  const { index } = Object(result) as { index?: unknown }
  return typeof index === 'number' ? index : undefined
}

const renumbered = (result: unknown, i: number): unknown =>
  indexOf(result) === undefined ? result : copyOf(result as object, { index: i })

/** Includes non-enumerable properties, because SDKs keep the request id there. */
function copyOf(object: object, changes: Fields): object {
  const copy = Object.create(
    Object.getPrototypeOf(object) as object | null,
    Object.getOwnPropertyDescriptors(object),
  ) as object
  for (const [key, value] of Object.entries(changes))
    Object.defineProperty(copy, key, { value, enumerable: true, writable: true, configurable: true })
  return copy
}

/** Divides each number in proportion to the tokens, into whole numbers with the same sum. */
function usageParts(usage: Fields, shares: readonly Share[]): Fields[] {
  const all = shares.reduce((sum, { tokens }) => sum + tokens, 0) || 1
  let before = 0
  return shares.map(({ tokens }) => {
    const [from, to] = [before / all, (before += tokens) / all]
    return Object.fromEntries(
      Object.entries(usage).map(([key, value]) =>
        typeof value === 'number' ? [key, Math.round(value * to) - Math.round(value * from)] : [key, value],
      ),
    )
  })
}
