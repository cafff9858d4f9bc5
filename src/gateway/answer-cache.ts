// Caches answers for identical calls: the same bytes, to the same path, by the same tenant of the same key.

import { createHash } from 'node:crypto'
import { ByteCache } from '../lib/byte-cache.ts'
import type { WholeAnswer } from './answer.ts'
import { type ClientCall, costOf } from './call.ts'

const MOST_BYTES = 64_000_000
/** Request headers that the answer also depends on. */
const HEADERS = ['accept', 'content-type', 'anthropic-version', 'anthropic-beta', 'openai-beta']
/** Only these headers are kept. Request ids and rate headers belong to the original call. */
const KEPT = /^content-/

export class AnswerCache {
  readonly #answers = new ByteCache<WholeAnswer>(MOST_BYTES)

  /** Undefined: the answer is not cached. Streams, lists and files are not. */
  keyOf(call: ClientCall, route: string): string | undefined {
    const { stream, body, method, path, headers, key, terms, protocol } = call
    if (stream || body === undefined || costOf(call).cost !== undefined) return undefined
    const facts = [route, key?.id, terms.tenant, terms.target, protocol, method, path]
    return createHash('sha256')
      .update(JSON.stringify([...facts, ...HEADERS.map((name) => headers[name])]))
      .update(body)
      .digest('base64')
  }

  get(key: string): WholeAnswer | undefined {
    return this.#answers.get(key, performance.now())
  }

  keep(key: string, answer: WholeAnswer, ms: number): void {
    if (answer.answered !== 200) return
    const passed = Object.fromEntries(Object.entries(answer.passed).filter(([name]) => KEPT.test(name)))
    this.#answers.set(key, { ...answer, passed }, answer.bytes.length + 1000, performance.now() + ms)
  }
}
