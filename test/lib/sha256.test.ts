import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sha256 } from '../../src/lib/sha256.ts'

const digest = (text: string) => createHash('sha256').update(text).digest('hex')

test('is SHA-256, at all lengths around the ends of blocks', () => {
  for (let length = 0; length < 200; length++) {
    const text = 'ab'.repeat(length).slice(0, length)
    expect(sha256(text)).toBe(digest(text))
  }
})

test('of any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
      expect(sha256(text)).toBe(digest(text))
    }),
  )
})
