// A connection to Redis, independent of the client library.
//
// The limiter uses its own connections, created from the user's client. So it controls how they fail (immediately,
// without a queue of old requests) and how they reconnect (within a quarter of a second), and subscriptions have a
// separate connection. They do not keep the process alive.
//
// A connection that opens and never becomes ready is treated like one that breaks: a proxy or a frozen server
// could hold it open forever. So one deadline covers everything up to the first command.

export interface Connection {
  /** Runs EVALSHA or EVAL. Rejects immediately while there is no connection. */
  call(command: RedisCommand, script: string, keys: string[], args: string[]): Promise<unknown>
  /** Missing if the client cannot subscribe. Then news arrives with the next answer. */
  subscribe?(channel: string, heard: (message: string) => void): void
  /** Closes a connection that does not answer, or answers only with this error. */
  reset?(error?: unknown): void
  close(): void
}

type RedisCommand = 'EVALSHA' | 'EVAL'

/** The maximum time for TCP and TLS. */
export const CONNECT_MS = 4000
/** The maximum time until the first command can be sent, or until the subscription is active. */
const READY_MS = 5000
export const RETRY_MS = 250
/** How long a request waits for a connection that is being opened. */
const PATIENCE_MS = 2 * RETRY_MS

type ConnectionListener = (...args: never[]) => void

export interface ConnectionEvents {
  on(event: string, listener: ConnectionListener): unknown
  once(event: string, listener: ConnectionListener): unknown
}

/** The part of the user's client that shows whether it is still open. */
interface Owner {
  once(event: 'end' | 'ready', listener: () => void): unknown
}

/** One attempt: one of our clients that is connecting to a server. */
interface Attempt<Client> {
  readonly client: Client
  readonly ready: Promise<unknown>
  end(): void
}

/** The differences between the client libraries. */
export interface Driver<Client> {
  /** Opens a client. `lost` is called when it has ended, `failed` on an error after which it may continue. */
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

/** A timer that does not keep the process alive. Returns a function that cancels it. */
function later(then: () => void, ms: number): () => void {
  const timer = setTimeout(then, ms)
  ;(timer as { unref?(): void }).unref?.()
  return () => clearTimeout(timer)
}

/** Reopens a client until it is stopped. */
class KeptClient<Client> {
  readonly #open: Driver<Client>['open']
  #attempt: Attempt<Client> | undefined
  #usable = false
  #lost: (error?: unknown) => void = () => {}
  #cancelRetry: () => void = () => {}
  /** Requests that wait for this connection to become ready. */
  #waiting: (() => void)[] = []
  /** Functions that reject pending requests when the connection is lost. */
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

  /** Closes the current client. A new one follows. */
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

/** The connections of a limiter, for as long as the user's client is open. */
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
      'the Redis client that was given to redisStore has ended: connect it again, or create a new limiter',
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
