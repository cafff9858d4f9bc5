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

  add(text: string): void {
    if (text.length < SHORTEST || this.#all.some((known) => known.text === text)) return
    this.#all.push({ text, bytes: Buffer.from(text) })
  }

  redactText(text: string): string {
    return this.#all.reduce((left, secret) => left.replaceAll(secret.text, HIDDEN), text)
  }

  redact(bytes: Buffer): Buffer {
    if (!this.#all.some((secret) => bytes.includes(secret.bytes))) return bytes
    return Buffer.from(this.redactText(bytes.toString('latin1')), 'latin1')
  }
}
