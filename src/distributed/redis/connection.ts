// A connection to Redis, whichever client it is made with.
//
// The limiter works on connections of its own, made from the client that it was given. So it decides how they fail (at
// once, without a queue of old requests) and how they come back (a new one within a quarter of a second), and a
// subscription has one to itself. They keep no process alive.
//
// A connection that opens and never becomes ready is as lost as one that breaks: a proxy or a frozen server can hold it
// open for ever. So one deadline covers everything up to the first command.

export interface Connection {
  /** EVALSHA or EVAL. Rejects at once while there is no connection. */
  call(command: RedisCommand, script: string, keys: string[], args: string[]): Promise<unknown>
  /** Missing where the client cannot subscribe: then news comes with the next answer. */
  subscribe?(channel: string, heard: (message: string) => void): void
  /** Gives up a connection that answers nothing, or nothing but this error. */
  reset?(error?: unknown): void
  close(): void
}

type RedisCommand = 'EVALSHA' | 'EVAL'

/** How long TCP and TLS may take. */
export const CONNECT_MS = 4000
/** How long it may take until the first command can go, or until the subscription stands. */
const READY_MS = 5000
export const RETRY_MS = 250
/** How long a request waits for a connection that is being made. */
const PATIENCE_MS = 2 * RETRY_MS

type ConnectionListener = (...args: never[]) => void

export interface ConnectionEvents {
  on(event: string, listener: ConnectionListener): unknown
  once(event: string, listener: ConnectionListener): unknown
}

/** The part of the user's client that tells whether it is still alive. */
interface Owner {
  once(event: 'end' | 'ready', listener: () => void): unknown
}

/** One attempt: a client of our own on its way to a server. */
interface Attempt<Client> {
  readonly client: Client
  readonly ready: Promise<unknown>
  end(): void
}

/** What differs between the clients. */
export interface Driver<Client> {
  /** Opens a client. `lost` is called when it has ended, `failed` on an error that may not be its end. */
  open(events: { lost(error?: unknown): void; failed(error: unknown): void }): Attempt<Client>
  call(
    client: Client,
    command: RedisCommand,
    script: string,
    keys: string[],
    args: string[],
  ): Promise<unknown>
  subscribe(client: Client, channel: string, heard: (message: string) => void): Promise<unknown>
}

/** A timer that keeps no process alive. Returns a function that cancels it. */
function later(then: () => void, ms: number): () => void {
  const timer = setTimeout(then, ms)
  ;(timer as { unref?(): void }).unref?.()
  return () => clearTimeout(timer)
}

/** Opens a client again and again, until it is told to stop. */
class KeptClient<Client> {
  readonly #open: Driver<Client>['open']
  #attempt: Attempt<Client> | undefined
  #usable = false
  #lost: (error?: unknown) => void = () => {}
  #cancelRetry: () => void = () => {}
  /** Requests that wait for this connection to become ready. */
  #waiting: (() => void)[] = []
  /** Rejects the requests that are out when the connection is lost. */
  readonly #out = new Set<(error: unknown) => void>()
  #error: unknown

  constructor(open: Driver<Client>['open']) {
    this.#open = open
    this.start()
  }

  start(): void {
    this.#cancelRetry()
    let over = false
    let attempt: Attempt<Client> | undefined
    const failed = (error: unknown) => void (this.#error = error)
    const lost = (error: unknown = this.#error) => {
      if (over) return
      over = true
      this.#usable = false
      this.#error = error
      cancelDeadline()
      attempt?.end()
      for (const reject of [...this.#out]) reject(error ?? new Error('the connection to Redis was lost'))
      this.#cancelRetry = later(() => this.start(), RETRY_MS)
    }
    const late = () => lost(new Error(`the connection to Redis was not ready within ${READY_MS} ms`))
    const cancelDeadline = later(late, READY_MS)
    this.#lost = lost
    this.#attempt = attempt = this.#open({ lost, failed })
    attempt.ready.then(() => {
      if (over) return
      cancelDeadline()
      this.#usable = true
      this.#waiting.splice(0).forEach((go) => go())
    }, lost)
  }

  /** Gives up the present client: a new one follows. */
  reset(error?: unknown): void {
    this.#lost(error)
  }

  stop(error?: unknown): void {
    this.#lost(error)
    this.#cancelRetry()
  }

  async use<Result>(command: (client: Client) => Promise<Result>): Promise<Result> {
    if (!this.#usable)
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
        later(resolve, PATIENCE_MS)
      })
    if (!this.#usable) throw this.#error ?? new Error('no connection to Redis')
    return new Promise((resolve, reject) => {
      this.#out.add(reject)
      command(this.#attempt!.client)
        .then(resolve, reject)
        .finally(() => this.#out.delete(reject))
    })
  }
}

/** The connections of a limiter, for as long as the client that it was given lives. */
export function keptConnection<Client>(owner: Owner, driver: Driver<Client>, hasEnded = false): Connection {
  const clients: KeptClient<Client>[] = []
  let main: KeptClient<Client> | undefined
  let ended: Error | undefined
  let closed = false

  const keep = (open: Driver<Client>['open']) => {
    const client = new KeptClient(open)
    clients.push(client)
    if (ended || closed) client.stop(ended)
    return client
  }
  const end = () => {
    ended = new Error(
      'the Redis client that was given to redisStore has ended; connect it again, or make a new limiter',
    )
    for (const client of clients) client.stop(ended)
    owner.once('ready', () => {
      ended = undefined
      if (!closed) for (const client of clients) client.start()
      owner.once('end', end)
    })
  }
  if (hasEnded) end()
  else owner.once('end', end)

  return {
    async call(command, script, keys, args) {
      if (ended) throw ended
      main ??= keep((events) => driver.open(events))
      return main.use((client) => driver.call(client, command, script, keys, args))
    },
    subscribe(channel, heard) {
      keep((events) => {
        const attempt = driver.open(events)
        const ready = attempt.ready.then(() => driver.subscribe(attempt.client, channel, heard))
        return { ...attempt, ready }
      })
    },
    reset(error) {
      for (const client of clients) client.reset(error)
    },
    close() {
      closed = true
      for (const client of clients) client.stop()
    },
  }
}
