// What is wrong with a store or its other users, as `store` events: each thing once, until it changes.

import type { StoreEvent, StoreHost } from 'llmiter'
import { type LeaseAnswer, type LeaseRequest, VERSION } from '../protocol.ts'

export class StoreWarnings {
  readonly #host: StoreHost
  readonly #told = new Map<StoreEvent['state'], string | undefined>()

  constructor(host: StoreHost) {
    this.#host = host
  }

  /** Without an error, this is no longer wrong. */
  tell(state: StoreEvent['state'], error?: Error, more: Pick<StoreEvent, 'limits'> = {}): void {
    const about = error && JSON.stringify(more)
    if (this.#told.get(state) === about) return
    this.#told.set(state, about)
    if (error) this.#host.tell({ state, error, ...more })
  }

  /** The store has not answered for `ms`, and may give the share of this process to others from now on. */
  expired(ms: number, cause: unknown): void {
    const seconds = Math.round(ms / 1000)
    const because =
      seconds > 0
        ? `has not answered for ${seconds} s: the share of this process has expired`
        : 'does not answer, and this process has not worked long enough to have a share'
    const why = `the store of '${this.#host.name}' ${because}, and its calls wait. The option 'processes' grants a share without a time limit`
    this.tell('expired', new Error(why, { cause }))
  }

  /** Compares this process with the others. */
  answered(request: LeaseRequest, { followed: all, otherVersion, discarded }: LeaseAnswer): void {
    const { name } = this.#host
    const limits = request.limits
      .map(({ key, configured: here }, i) => ({ key, here, followed: all[i] ?? here }))
      .filter(({ here, followed }) => here !== followed)
    const what = limits.map(({ key, here, followed }) => `${key}: ${here} here, ${followed} there`).join('; ')
    const differ = `another process was started later with other limits for '${name}', and all processes follow those (${what})`
    this.tell('limits-differ', what ? new Error(differ) : undefined, { limits })
    const versions = `processes with another version of llmiter use the limit '${name}' too (protocol ${otherVersion}, here ${VERSION}); the two versions do not share it`
    this.tell('version-differs', otherVersion === undefined ? undefined : new Error(versions))
    if (discarded === undefined) return
    const why = `the keys of the limit '${name}' held data that is not from llmiter, which was discarded: ${discarded}`
    this.tell('foreign-data', new Error(why))
  }
}
