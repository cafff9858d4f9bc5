// A connection to Redis, whichever client it is made with.
//
// The limiter works on connections of its own, made from the client that it was given: so that it can say how they fail
// (at once, without a queue of old questions) and come back (within a quarter of a second), and so that a subscription
// has one to itself. They keep no process alive.

export interface Connection {
  /** EVALSHA or EVAL. Rejects at once while there is no connection. */
  call(command: 'EVALSHA' | 'EVAL', script: string, keys: string[], args: string[]): Promise<unknown>
  /** Not where the client cannot: then news comes with the next answer. */
  subscribe?(channel: string, heard: (message: string) => void): void
  /** Gives a connection up that answers nothing any more, or nothing but this error. */
  reset?(error?: unknown): void
  close(): void
}

export const RETRY_MS = 250
export const CONNECT_MS = 2000

type ConnectionListener = (...args: never[]) => void

export interface ConnectionEvents {
  on(event: string, listener: ConnectionListener): unknown
  once(event: string, listener: ConnectionListener): unknown
}

/** Why there is no connection: what the client said last. */
export const offline = (error: unknown) => error ?? new Error('no connection to Redis')

/** Clients retry by timers that keep the process alive, and some give up: so a lost connection is made again here. */
export function later(then: () => void, ms: number): void {
  const timer = setTimeout(then, ms)
  ;(timer as { unref?(): void }).unref?.()
}

/** A new connection takes its time. */
export const soon = () => new Promise<void>((resolve) => later(resolve, 2 * RETRY_MS))
