// Keys that must not be disclosed: removes the operator's keys from providers' answers (some providers echo them
// in errors), and hashes the keys of programs.

import { createHash } from 'node:crypto'

/** The hash of a key. Keys are compared by it in constant time. */
export const sha256 = (key: string): Buffer => createHash('sha256').update(key).digest()

const HIDDEN = '[redacted]'
/** A shorter secret would be found in any text. */
const SHORTEST = 8

export class Secrets {
  readonly #all: { readonly text: string; readonly bytes: Buffer }[] = []

  /** Adds the secret as written, and as JSON and URLs encode it. */
  add(secret: string): void {
    if (secret.length < SHORTEST) return
    const inJson = JSON.stringify(secret).slice(1, -1)
    for (const text of [secret, inJson, inJson.replaceAll('/', '\\/'), encodeURIComponent(secret)])
      if (!this.#all.some((known) => known.text === text)) this.#all.push({ text, bytes: Buffer.from(text) })
  }

  redactText(text: string): string {
    return this.#all.reduce((left, secret) => left.replaceAll(secret.text, HIDDEN), text)
  }

  /** How many bytes at the end may be the beginning of a secret. */
  begunAtEnd(bytes: Buffer): number {
    return Math.max(0, ...this.#all.map((secret) => overlap(bytes, secret.bytes)))
  }

  redact(bytes: Buffer): Buffer {
    if (!this.#all.some((secret) => bytes.includes(secret.bytes))) return bytes
    return Buffer.from(this.redactText(bytes.toString('latin1')), 'latin1')
  }
}

/** How many bytes at the end are an incomplete beginning of the secret. */
function overlap(bytes: Buffer, secret: Buffer): number {
  for (let length = Math.min(secret.length - 1, bytes.length); length > 0; length--)
    if (bytes.subarray(bytes.length - length).equals(secret.subarray(0, length))) return length
  return 0
}
