// Synchronous SHA-256 of a text. `crypto.subtle` is asynchronous, and a decision about a request must not wait for
// it.

const primes = (count: number): number[] => {
  const found: number[] = []
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime !== 0)) found.push(n)
  return found
}
const fraction = (x: number) => ((x % 1) * 2 ** 32) | 0

/**
 * As specified: the fractional parts of the cube roots of the first 64 primes, and of the square roots of the
 * first 8.
 */
const K = primes(64).map((prime) => fraction(Math.cbrt(prime)))
const START = primes(8).map((prime) => fraction(Math.sqrt(prime)))

const turned = (x: number, by: number) => (x >>> by) | (x << (32 - by))

/** The text in UTF-8, a set bit, zeros, and the length in bits, as whole blocks of 16 words. */
function padded(text: string): Int32Array {
  const bytes = new TextEncoder().encode(text)
  const words = new Int32Array(((bytes.length + 8) >> 6) * 16 + 16)
  bytes.forEach((byte, i) => (words[i >> 2]! |= byte << (24 - 8 * (i & 3))))
  words[bytes.length >> 2]! |= 0x80 << (24 - 8 * (bytes.length & 3))
  words[words.length - 2] = Math.floor(bytes.length / 2 ** 29)
  words[words.length - 1] = bytes.length << 3
  return words
}

const schedule = new Int32Array(64)

function compress(state: Int32Array, block: Int32Array): void {
  const w = schedule
  w.set(block)
  for (let i = 16; i < 64; i++) {
    const [x, y] = [w[i - 15]!, w[i - 2]!]
    const s0 = turned(x, 7) ^ turned(x, 18) ^ (x >>> 3)
    const s1 = turned(y, 17) ^ turned(y, 19) ^ (y >>> 10)
    w[i] = w[i - 16]! + s0 + w[i - 7]! + s1
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [
    ...[number, number, number, number],
    ...[number, number, number, number],
  ]
  for (let i = 0; i < 64; i++) {
    const choice = (e & f) ^ (~e & g)
    const one = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + choice + K[i]! + w[i]!) | 0
    const majority = (a & b) ^ (a & c) ^ (b & c)
    const two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + majority
    ;[h, g, f, e] = [g, f, e, (d + one) | 0]
    ;[d, c, b, a] = [c, b, a, (one + two) | 0]
  }
  ;[a, b, c, d, e, f, g, h].forEach((word, i) => (state[i]! += word))
}

/** Returns 64 hexadecimal digits. */
export function sha256(text: string): string {
  const state = Int32Array.from(START)
  const words = padded(text)
  for (let at = 0; at < words.length; at += 16) compress(state, words.subarray(at, at + 16))
  return [...state].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
}
