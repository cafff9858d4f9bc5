import { describe, expect, test, vi } from 'vitest'
import { estimateTokens } from '../../src/responses/index.ts'

const tokensOf = (...args: unknown[]) => estimateTokens(args).inputTokens

describe('the size is right', () => {
  const english = 'The quick brown fox jumps over the lazy dog. '
  test.each<[string, string, number, number]>([
    ['English', english, 9, 13],
    ['long English', english.repeat(1000), 9000, 13_000],
    ['Japanese', '吾輩は猫である。名前はまだ無い。', 12, 18],
    ['Russian', 'Съешь же ещё этих мягких французских булок', 15, 25],
  ])('%s', (_name, text, low, high) => {
    expect(tokensOf(text)).toBeGreaterThanOrEqual(low)
    expect(tokensOf(text)).toBeLessThanOrEqual(high)
  })

  test('of messages, wherever the text lies', () => {
    const text = english.repeat(100)
    for (const arg of [
      { messages: [{ role: 'user', content: text }] },
      { contents: [{ role: 'user', parts: [{ text }] }] },
      { input: [{ role: 'user', content: [{ type: 'input_text', text }] }] },
    ]) {
      expect(tokensOf(arg)).toBeGreaterThan(1100)
      expect(tokensOf(arg)).toBeLessThan(1200)
    }
  })

  test('of texts that are tokens already', () => {
    expect(
      tokensOf({
        input: [
          [1, 2, 3],
          [4, 5],
        ],
      }),
    ).toBeLessThan(10)
    expect(tokensOf({ input: Array.from({ length: 500 }, (_, i) => i) })).toBeGreaterThanOrEqual(500)
  })

  test('of a body that was made ready for fetch', () => {
    const image = `data:image/png;base64,${'A'.repeat(1_000_000)}`
    const body = JSON.stringify({
      max_tokens: 64,
      messages: [{ content: [{ type: 'image_url', image_url: { url: image } }] }],
    })
    const estimate = estimateTokens(['https://api.openai.com/v1/chat/completions', { method: 'POST', body }])
    expect(estimate.maxOutputTokens).toBe(64)
    expect(estimate.inputTokens).toBeLessThan(1000)
  })
})

describe('an image is an image, not its base64', () => {
  const data = 'iVBORw0KGgo'.repeat(100_000)
  test.each<[string, unknown]>([
    ['openai chat', { type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } }],
    ['openai chat, by address', { type: 'image_url', image_url: { url: 'https://example.com/cat.png' } }],
    ['openai responses', { type: 'input_image', image_url: 'https://example.com/cat.png' }],
    ['anthropic', { type: 'image', source: { type: 'base64', media_type: 'image/png', data } }],
    ['gemini', { inlineData: { mimeType: 'image/png', data } }],
    ['ai sdk', { type: 'image', image: new Uint8Array(1_000_000) }],
    ['a pdf', { type: 'document', source: { type: 'base64', data } }],
  ])('%s', (_name, part) => {
    expect(tokensOf({ content: [part] })).toBeGreaterThan(500)
    expect(tokensOf({ content: [part] })).toBeLessThan(1500)
  })
})

describe('the maximum output', () => {
  test.each<[string, object, number | undefined]>([
    ['max_tokens', { max_tokens: 100 }, 100],
    ['max_completion_tokens', { max_completion_tokens: 100 }, 100],
    ['max_output_tokens', { max_output_tokens: 100 }, 100],
    ['maxOutputTokens', { maxOutputTokens: 100 }, 100],
    ['maxTokens', { maxTokens: 100 }, 100],
    ['within generationConfig', { generationConfig: { maxOutputTokens: 100 } }, 100],
    ['within config', { config: { maxOutputTokens: 100 } }, 100],
    ['not said', { model: 'gpt-5' }, undefined],
    ['not a number', { max_tokens: 'all' }, undefined],
    [
      'a schema that speaks of it',
      { tools: [{ parameters: { properties: { max_tokens: { type: 'integer' } } } }] },
      undefined,
    ],
  ])('%s', (_name, arg, expected) => {
    expect(estimateTokens([arg]).maxOutputTokens).toBe(expected)
  })
})

describe('whatever is passed', () => {
  test('a cycle ends', () => {
    const cycle: Record<string, unknown> = { text: 'Hello' }
    cycle['self'] = cycle
    expect(tokensOf(cycle)).toBeLessThan(10)
  })

  test('depth and breadth end', () => {
    let deep: unknown = 'x'
    for (let i = 0; i < 100_000; i++) deep = [deep]
    expect(tokensOf(deep)).toBeLessThan(100)
    expect(tokensOf(new Array(1_000_000).fill('hello'))).toBeGreaterThan(1000)
  })

  test('clients, streams and buffers are not looked into', () => {
    class Client {
      apiKey = 'x'.repeat(100_000)
      get chat(): never {
        return expect.unreachable()
      }
    }
    expect(
      tokensOf(new Client(), new ReadableStream(), new Uint8Array(1_000_000), new AbortController().signal),
    ).toBeLessThan(10)
  })

  test('but messages that are instances are', () => {
    class HumanMessage {
      content = 'word '.repeat(800)
    }
    expect(tokensOf([new HumanMessage()])).toBeGreaterThan(990)
  })

  test('of a long prompt about a thousand characters are looked at', () => {
    const prompt = 'word '.repeat(2_000_000)
    const looks = vi.spyOn(String.prototype, 'charCodeAt')
    try {
      const { inputTokens } = estimateTokens([prompt])
      expect(looks.mock.calls.length).toBeLessThan(1100)
      expect(inputTokens).toBeGreaterThan(2_000_000)
    } finally {
      looks.mockRestore()
    }
  })
})
