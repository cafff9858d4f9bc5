// Keys that must not be seen: those of the operator, taken out of whatever a provider answers (some echo them in their
// errors), and the hashes by which keys of programs are known.

import { createHash } from 'node:crypto'

/** The hash of a key: keys are compared by it in constant time. */
export const sha256 = (key: string): Buffer => createHash('sha256').update(key).digest()

const HIDDEN = '[redacted]'
/** A shorter word would be found in any text. */
const SHORTEST = 8

export class Secrets {
  readonly #all: { readonly text: string; readonly bytes: Buffer }[] = []

  /** As it is, and as JSON and URLs write it. */
  add(secret: string): void {
    if (secret.length < SHORTEST) return
    const inJson = JSON.stringify(secret).slice(1, -1)
    for (const text of [secret, inJson, inJson.replaceAll('/', '\\/'), encodeURIComponent(secret)])
      if (!this.#all.some((known) => known.text === text)) this.#all.push({ text, bytes: Buffer.from(text) })
  }

  redactText(text: string): string {
    return this.#all.reduce((left, secret) => left.replaceAll(secret.text, HIDDEN), text)
  }

  /** So many bytes at the end may be the beginning of a secret. */
  begunAtEnd(bytes: Buffer): number {
    return Math.max(0, ...this.#all.map((secret) => overlap(bytes, secret.bytes)))
  }

  redact(bytes: Buffer): Buffer {
    if (!this.#all.some((secret) => bytes.includes(secret.bytes))) return bytes
    return Buffer.from(this.redactText(bytes.toString('latin1')), 'latin1')
  }
}

/** How much of a secret stands at the end of these bytes, when it is not all of it. */
function overlap(bytes: Buffer, secret: Buffer): number {
  for (let length = Math.min(secret.length - 1, bytes.length); length > 0; length--)
    if (bytes.subarray(bytes.length - length).equals(secret.subarray(0, length))) return length
  return 0
}
