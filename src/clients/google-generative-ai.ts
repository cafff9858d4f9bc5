// The public surface of 'llmiter/google-generative-ai': the deprecated Gemini SDK with a limiter inside. New
// programs should use
// @google/genai and 'llmiter/google'.
//
// This SDK calls the global `fetch` and has no option to replace it. So calls wait before the methods of its
// models and chats, which return plain promises. The wait is outside the SDK's timeout.

import { readUsage } from 'llmiter'
import type { ChatSession, GenerativeModel, GoogleGenerativeAI } from '@google/generative-ai'
import { inputOnly } from './shared/charge.ts'
import {
  type ClientLimits,
  type ClientOptions,
  type ClientTicket,
  type LimitedCall,
  type Limits,
  limitsOf,
} from './shared/limits.ts'
import { type Limited, limitedWith, refuseLimited } from './shared/limited.ts'

export type { ClientCallOptions, ClientLimits, ClientOptions, LimitsByModel } from './shared/limits.ts'
export type { Limited } from './shared/limited.ts'

type Method = (request: unknown, options?: CallOptions) => Promise<unknown>

interface CallOptions {
  signal?: AbortSignal
}

/**
 * A stream, with a promise of all its chunks combined. The SDK reads the stream to its end for that promise, even
 * if the caller leaves it.
 */
interface Streamed {
  stream: object
  response: Promise<unknown>
}

const GENERATES = ['generateContent', 'generateContentStream', 'embedContent', 'batchEmbedContents']
const SENDS = ['sendMessage', 'sendMessageStream']

/** Matches the SDK's errors for calls that it did not send. */
const UNSENT = /^\[GoogleGenerativeAI Error\]: (?!.*\bfetching\b)/s

/**
 * Returns a copy of the client whose calls wait for tickets. `instanceof`, types, chats and streams work
 * unchanged. The original client is not limited. A call is charged only its input, as Gemini does.
 *
 * A stream holds its ticket until it has been received completely, even if you leave it early: this SDK reads it
 * to the end for its `response`. A chat message waits for the previous message, and then for its ticket.
 *
 * @example
 * const google = limitGoogleGenerativeAI(new GoogleGenerativeAI(apiKey), {
 *   models: { 'gemini-2.5*': { requestsPerMinute: 1000, inputTokensPerMinute: 1_000_000 } },
 * })
 *
 * @throws TypeError when an option is wrong. Calls reject with the SDK's own errors, or with a `LimiterError`.
 */
export function limitGoogleGenerativeAI<C extends GoogleGenerativeAI>(
  client: C,
  limits: ClientLimits,
  options: ClientOptions = {},
): Limited<C> {
  const own = limitsOf(limits, inputOnly, options, 'limitGoogleGenerativeAI')
  if (typeof (Object(client) as Partial<C>).getGenerativeModel !== 'function') {
    throw new TypeError(
      `limitGoogleGenerativeAI needs a GoogleGenerativeAI, got ${Object(client).constructor?.name}`,
    )
  }
  refuseLimited(client, 'limitGoogleGenerativeAI')
  return limitedWith(own, (limits) => {
    const limited = Object.assign(Object.create(Object.getPrototypeOf(client) as object) as C, client)
    for (const name of ['getGenerativeModel', 'getGenerativeModelFromCachedContent'] as const)
      put(limited, name, (...args: unknown[]) =>
        limitModel((client[name] as (...args: unknown[]) => GenerativeModel)(...args), limits),
      )
    return limited
  })
}

function limitModel(model: GenerativeModel, limits: Limits): GenerativeModel {
  const { generationConfig, systemInstruction, tools } = model
  const name = model.model.replace(/^models\//, '')
  const callOf =
    (generates: boolean, more: () => object = () => ({ generationConfig, systemInstruction, tools })) =>
    (request: unknown, { signal }: CallOptions): LimitedCall => ({
      model: name,
      request: { request, ...more() },
      generates,
      signal,
    })
  for (const method of GENERATES) limitMethod(model, method, callOf(true), limits)
  limitMethod(model, 'countTokens', callOf(false), limits)
  const { startChat } = model
  put(model, 'startChat', (...args: Parameters<typeof startChat>) => {
    const chat = startChat.apply(model, args)
    const inTurn = turns()
    for (const method of SENDS)
      // Does not use its method for that, which would wait for the message in flight.
      limitMethod(
        chat,
        method,
        callOf(true, () => ({ ...chat.params, history: historyOf(chat) })),
        limits,
        inTurn,
      )
    return chat
  })
  return model
}

const historyOf = (chat: ChatSession) => (chat as unknown as { _history?: unknown })._history

function limitMethod(
  target: object,
  name: string,
  callOf: (request: unknown, options: CallOptions) => LimitedCall,
  limits: Limits,
  inTurn: Turn = (make) => make(),
): void {
  const method = (target as Record<string, Method>)[name]!
  put(target, name, (request: unknown, options: CallOptions = {}) => {
    const send: Send = (own) => method.call(target, request, own)
    return inTurn(() => {
      const call = callOf(request, options)
      return limits.covers(call) ? inLine(limits, call, send, options) : send(options)
    })
  })
}

type Send = (options: CallOptions) => Promise<unknown>
type Turn = (make: () => Promise<unknown>) => Promise<unknown>

/** Sends the messages of a chat one after the other, so that a refused message is not overtaken by the next. */
function turns(): Turn {
  let before: Promise<unknown> = Promise.resolve()
  return (make) => {
    const result = before.then(make)
    before = result.then((answer) => (answer as Streamed).response).catch(() => {})
    return result
  }
}

async function inLine(limits: Limits, call: LimitedCall, send: Send, options: CallOptions): Promise<unknown> {
  const { signal } = options
  try {
    let grant = await limits.grant(call)
    for (;;) {
      try {
        const answer = await grant.ticket.attempt((given) =>
          send(given === signal ? options : { ...options, signal: given! }),
        )
        settle(answer as Partial<Streamed>, grant)
        return answer
      } catch (error) {
        if (UNSENT.test((error as Error).message)) {
          grant.ticket.release()
          throw error
        }
        grant = { ...grant, ticket: await grant.ticket.refuse(error) }
      }
    }
  } catch (error) {
    if (!signal?.aborted || error !== signal.reason) throw error
    // Aborted in the queue: the SDK throws its own error, for a request that is never sent.
    return send({ ...options, signal: telling(signal) })
  }
}

function settle(answer: Partial<Streamed>, { ticket, used }: ClientTicket): void {
  const finish = (response: unknown) => {
    const usage = readUsage(response)
    ticket.finish({ usage: usage && used(usage) })
  }
  if (!answer.stream) return finish(answer)
  ticket.accepted()
  answer.response!.then(finish, (error: unknown) => ticket.fail(error))
}

/**
 * This SDK adds a listener but does not check whether the signal is already aborted. So this signal aborts after
 * that.
 */
function telling(signal: AbortSignal): AbortSignal {
  const addEventListener = (_: string, listener: () => void) => listener()
  return Object.assign(AbortSignal.abort(signal.reason), { addEventListener })
}

function put(target: object, name: string, value: (...args: never[]) => unknown): void {
  Object.defineProperty(target, name, { value, configurable: true, writable: true })
}
