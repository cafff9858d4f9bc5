// The bytes of an answer, in whatever pieces they come.

import { expect, test } from 'vitest'
import { BodyReader } from '../../src/clients/shared/body.ts'
import * as anthropic from './fixtures/anthropic.ts'
import * as google from './fixtures/google.ts'
import * as openai from './fixtures/openai.ts'

const used = { inputTokens: 9, outputTokens: 12, tokens: 21 }

/** Reads a text in pieces of this size. Returns the last usage, and the events. */
function readIn(size: number, text: string, type = 'text/event-stream') {
  const events: unknown[] = []
  const reader = new BodyReader(type, {
    done: (usage) => events.push(['done', usage]),
    failed: (error) => events.push(['failed', error]),
  })
  const bytes = new TextEncoder().encode(text)
  for (let i = 0; i < bytes.length; i += size) reader.read(bytes.subarray(i, i + size))
  return { usage: reader.read(undefined), events }
}

test.each([1, 2, 3, 7, 64, 1e6])('a stream in pieces of %i bytes', (size) => {
  const chat = openai.chatStream({}, ['Pa', 'rís', '日本', '🎉.']).frames!.join('')
  expect(readIn(size, chat)).toEqual({ usage: used, events: [['done', used]] })
  expect(readIn(size, chat.replaceAll('\n', '\r\n')).usage).toEqual(used)
  const message = anthropic.stream().frames!.join('')
  expect(readIn(size, message)).toEqual({ usage: used, events: [['done', used]] })
  const plain = JSON.stringify(openai.chat('日本 "usage":{"prompt_tokens":1}').body)
  expect(readIn(size, plain, 'application/json')).toEqual({ usage: used, events: [] })
})

test('a refusal in mid-stream is reported once, with its text', () => {
  const { events } = readIn(5, openai.refusedMidway().frames!.join(''))
  expect(events).toEqual([['failed', openai.rate().body]])
})

test('in a long answer only the usage is searched for, at its beginning or end', () => {
  const picture = 'A'.repeat(5_000_000)
  const usage = {
    prompt_tokens: 9,
    completion_tokens: 12,
    total_tokens: 21,
    prompt_tokens_details: { cached_tokens: 0 },
  }
  for (const body of [
    { data: [picture], usage },
    { usage, data: [picture] },
  ])
    expect(readIn(65_536, JSON.stringify(body), 'application/json').usage).toEqual(used)
  const line = `data: {"picture":"${picture}"}\n\n`
  expect(readIn(65_536, line + openai.chatStream().frames!.join('')).usage).toEqual(used)
})

test.each([
  '',
  '\n\n',
  'data:',
  'data: {',
  'data: null\n\n',
  'data: {"usage":{}}\n\n',
  ': ping\n\n',
  '\uFFFF\0',
  '[1,2]',
])('unreadable data is ignored: %j', (text) => {
  for (const type of ['text/event-stream', 'application/json', ''])
    expect(readIn(3, text, type)).toEqual({ usage: undefined, events: [] })
})

test.each([1, 2, 3, 7, 64, 1e6])(
  'an error without a frame, over several lines, in pieces of %i bytes',
  (size) => {
    const { body } = google.rate()
    const text = google.stream().frames![0]! + JSON.stringify(body, null, 2)
    for (const end of ['', '\n', '\r\n'])
      expect(readIn(size, text + end)).toEqual({
        usage: { inputTokens: 9, tokens: 9 },
        events: [['failed', body]],
      })
    expect(readIn(size, `{\n${'"open": 1,\n'.repeat(200_000)}`).events).toEqual([])
  },
)

test('a long line in small pieces is searched once, not with each piece', () => {
  const line = `data: {"picture":"${'A'.repeat(900_000)}"}\n\n`
  const before = process.cpuUsage()
  expect(readIn(64, line + openai.chatStream().frames!.join('')).usage).toEqual(used)
  const { user, system } = process.cpuUsage(before)
  // Searched again with each piece it took half a minute.
  expect((user + system) / 1e6).toBeLessThan(5)
})
