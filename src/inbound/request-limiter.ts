// Turns a request into a verdict, for all kinds of servers: identifies the client, and decides whether the request
// may pass.

import { addressKey, parseAddress } from './address.ts'
import { Emitter } from '../lib/emitter.ts'
import type { GuardEmitter } from './events.ts'
import { CounterWithFallback } from './counter-with-fallback.ts'
import { type GuardOptions, type Settings, settingsOf } from './options.ts'
import { clientAddress } from './trust-proxy.ts'
import { sha256 } from '../lib/sha256.ts'
import { text } from '../lib/validate.ts'
import { problemOf, type Verdict } from './decision.ts'

/** What an adapter knows about a request. */
export interface Visitor<R> {
  readonly request: R
  /** The address of the peer, if the runtime provides it. */
  readonly peer: string | undefined
  /** The whole `X-Forwarded-For` header. */
  readonly forwarded: string | undefined
}

/** Longer keys are stored as their SHA-256, so that a client cannot fill the memory with a few long keys. */
const LONGEST_KEY = 200

export class RequestLimiter<R> {
  readonly events: GuardEmitter
  readonly #options: GuardOptions<R>
  readonly #settings: Settings
  readonly #counter: CounterWithFallback
  #proxyTold = false

  constructor(options: GuardOptions<R>) {
    this.#options = options
    this.#settings = settingsOf(options)
    this.events = new Emitter({ guard: this.#settings.name })
    this.#counter = new CounterWithFallback(this.#settings, options.store, {
      full: (keys) => this.events.emit('full', { keys }),
      store: (state, error) => this.events.emit('store', { state, ...(error !== undefined && { error }) }),
    })
  }

  /** Undefined: the request is not limited. Rejects with what `skip`, `key` and `address` throw. */
  async admit(visitor: Visitor<R>): Promise<Verdict | undefined> {
    const { skip, key } = this.#options
    if (skip && (await skip(visitor.request))) return undefined
    const said = key && (await key(visitor.request))
    if (said === undefined || said === '') return this.take(this.#addressOf(visitor))
    return this.check(said)
  }

  async check(key: string | number): Promise<Verdict> {
    const fine = typeof key === 'string' ? key !== '' : Number.isFinite(key)
    if (!fine) throw new TypeError(`key must be a non-empty string or a number, got ${text(key)}`)
    // Keys and addresses have different prefixes, so that a client cannot use up another's address limit by
    // choosing it as its key.
    const said = String(key)
    return this.take(`key ${said.length > LONGEST_KEY ? `sha256 ${sha256(said)}` : said}`)
  }

  async take(key: string): Promise<Verdict> {
    const answer = this.#counter.take(key)
    // In one process the verdict is available immediately.
    const verdict = answer instanceof Promise ? await answer : answer
    if (!verdict.allowed && this.events.heard.has('refuse'))
      this.events.emit('refuse', { key: this.#settings.shownKey(key), verdict })
    return verdict
  }

  bodyOf(verdict: Verdict): { type: string; json: string } {
    const { body } = this.#options
    return body
      ? { type: 'application/json', json: JSON.stringify(body(verdict)) }
      : { type: 'application/problem+json', json: JSON.stringify(problemOf(verdict)) }
  }

  #addressOf({ request, peer, forwarded }: Visitor<R>): string {
    const { trust } = this.#settings
    const said = this.#options.address ? this.#options.address(request) : peer
    const connected = said === undefined ? undefined : parseAddress(said)
    const address = clientAddress(connected, forwarded, trust)
    if (forwarded && address === connected && !this.#options.address) this.#tellOfProxy(peer)
    if (address) return addressKey(address, this.#settings.ipv6Prefix)
    throw new TypeError(
      said === undefined
        ? 'guard: the address of this request is unknown: give `key` or `address`, or behind a proxy on a Unix socket `trustProxy: 1`'
        : `guard: address must be an IP address, got ${text(said)}`,
    )
  }

  /**
   * Warns that all clients behind an untrusted proxy share one limit. Only once, because anyone can send the
   * header.
   */
  #tellOfProxy(peer: string | undefined): void {
    if (this.#proxyTold) return
    this.#proxyTold = true
    if (this.events.heard.has('proxy')) this.events.emit('proxy', { peer, header: 'X-Forwarded-For' })
    else
      console.warn(
        `llmiter: guard ${text(this.#settings.name)} got X-Forwarded-For from ${peer ?? 'a Unix socket'}, which trustProxy does not trust: ` +
          'all clients behind that peer share one limit. If it is your proxy, set trustProxy; if not, listen to the event proxy to silence this.',
      )
  }
}
