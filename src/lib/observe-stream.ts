// Watches a stream without changing its type. A call that returns a stream is not over when it returns. It is over
// when the stream ends, fails, is left early or is cancelled.
//
//   ReadableStream           replaced by a new one, because native code bypasses patched methods; a subclass
//                            is kept, and its methods read from a new one
//   SDK streams              `iterator` is patched, which their `tee` and `toReadableStream` use
//   generators, iterators    `next`, `return` and `throw` are patched
//   other async iterables    `Symbol.asyncIterator` is patched
//   emitters (Node streams,  'end' and 'close' are observed. Never 'error': a listener there would hide failures
//   SDK helpers)             that the caller does not handle

export interface Watcher {
  /** The number of reads that wait for an item. */
  reading: number
  /** The reader asks for an item, and waits for the stream from now on. */
  ask(): void
  chunk(value: unknown): void
  /** The stream is over: it failed, it was left early (so its reported usage is incomplete), or it ended. */
  end(failure?: { error: unknown }, left?: boolean): void
}

type Patchable = Record<PropertyKey, unknown>
type Method = (this: unknown, ...args: unknown[]) => unknown

const isFunction = (value: unknown): value is Method => typeof value === 'function'

function kindOf(value: object): 'web' | 'emitter' | 'iterator' | 'iterable' | undefined {
  const stream = value as Patchable
  if (typeof ReadableStream === 'function' && value instanceof ReadableStream) return 'web'
  if (isFunction(stream.on) && (isFunction(stream.pipe) || isFunction(stream.done))) return 'emitter'
  if (!isFunction(stream[Symbol.asyncIterator])) return undefined
  return isFunction(stream.next) ? 'iterator' : 'iterable'
}

/** Whether a result is a stream, so that its call is not over yet. */
export function isStream(value: unknown): value is object {
  return typeof value === 'object' && value !== null && kindOf(value) !== undefined
}

/** Watches a stream. Returns what the caller gets, usually the stream itself. */
export function watchStream(value: object, watcher: Watcher): object {
  const stream = value as Patchable
  const kind = kindOf(value)
  if (kind === 'web') return watchWeb(value as ReadableStream, watcher)
  if (kind === 'emitter') watchEmitter(stream, watcher)
  else if (kind === 'iterator') watchIterator(stream, watcher)
  else watchIterable(stream, watcher)
  return value
}

function watchWeb(source: ReadableStream, watcher: Watcher): ReadableStream {
  if (Object.getPrototypeOf(source) === ReadableStream.prototype) return readable(source, watcher)
  let inner: ReadableStream | undefined
  const names = ['getReader', 'tee', 'pipeTo', 'pipeThrough', 'cancel', 'values', Symbol.asyncIterator]
  for (const name of names) {
    patch(source as unknown as Patchable, name, () => (...args) => {
      // Uses the original methods. The patched methods would recurse into this one.
      inner ??= readable(source, watcher)
      return (inner as unknown as Record<PropertyKey, Method>)[name]!(...args)
    })
  }
  return source
}

function watchEmitter(stream: Patchable, watcher: Watcher): void {
  const on = (event: string, listener: Method) => (stream.on as Method).call(stream, event, listener)
  const over = () => watcher.end(stream.errored ? { error: stream.errored } : undefined)
  for (const event of ['end', 'close']) on(event, over)
  if (stream.destroyed || stream.readableEnded) over()
  // A Node stream emits 'data' however it is read. Adding a listener for it would start the flow.
  patch(stream, 'emit', (emit) => (...args) => {
    if (args[0] === 'data') watcher.chunk(args[1])
    return emit.apply(stream, args)
  })
  patch(stream, 'read', (read) => (...args) => {
    const chunk = read.apply(stream, args)
    if (chunk === null) watcher.ask()
    return chunk
  })
  if (isFunction(stream.pipe)) return
  // The stream helpers of SDKs emit their chunks.
  watcher.ask()
  for (const event of ['chunk', 'streamEvent', 'event']) {
    on(event, (chunk) => {
      watcher.chunk(chunk)
      watcher.ask()
    })
  }
}

function watchIterable(stream: Patchable, watcher: Watcher): void {
  // An SDK stream is left by aborting its controller, whether it was read or not. While it is being read, its own
  // end is more accurate.
  const { signal } = Object(stream.controller) as { signal?: AbortSignal }
  signal?.addEventListener?.('abort', () => watcher.reading || watcher.end(undefined, true), { once: true })
  const name = isFunction(stream.iterator) ? 'iterator' : Symbol.asyncIterator
  patch(stream, name, (original) => (...args) => {
    const iterator = original.apply(stream, args) as Patchable
    watchIterator(iterator, watcher)
    return iterator
  })
}

function patch(
  target: Patchable,
  name: PropertyKey,
  replace: (original: Method) => (...args: unknown[]) => unknown,
): void {
  const original = target[name]
  if (isFunction(original))
    Object.defineProperty(target, name, { value: replace(original), configurable: true, writable: true })
}

function watchIterator(iterator: Patchable, watcher: Watcher): void {
  const look = (promise: unknown, last: boolean) => {
    watcher.reading++
    watcher.ask()
    return Promise.resolve(promise as Promise<IteratorResult<unknown>>).then(
      (result) => {
        watcher.reading--
        if (last || result.done) watcher.end(undefined, last)
        else watcher.chunk(result.value)
        return result
      },
      (error: unknown) => {
        watcher.reading--
        watcher.end({ error })
        throw error
      },
    )
  }
  const watched = (name: string, last: boolean) =>
    patch(iterator, name, (method) => {
      return (...args) => look(method.apply(iterator, args), last)
    })
  watched('next', false)
  watched('throw', true)
  if (isFunction(iterator.return)) watched('return', true)
  else {
    iterator.return = (value: unknown) => {
      watcher.end(undefined, true)
      return Promise.resolve({ done: true, value })
    }
  }
}

function readable(source: ReadableStream, watcher: Watcher): ReadableStream {
  const bytes = isByteStream(source)
  const reader = ReadableStream.prototype.getReader.call(source) as ReadableStreamDefaultReader
  const pull = async (controller: ReadableStreamController<unknown>) => {
    try {
      watcher.ask()
      watcher.reading++
      const { done, value } = await reader.read().finally(() => watcher.reading--)
      if (done) {
        watcher.end()
        controller.close()
        if ('byobRequest' in controller) controller.byobRequest?.respond(0)
      } else {
        watcher.chunk(value)
        controller.enqueue(value as ArrayBufferView<ArrayBuffer>)
      }
    } catch (error) {
      watcher.end({ error })
      controller.error(error)
    }
  }
  const cancel = (reason: unknown) => {
    watcher.end(undefined, true)
    return reader.cancel(reason)
  }
  // Reads from the source only when it is read itself.
  return bytes
    ? new ReadableStream({ type: 'bytes', pull, cancel })
    : new ReadableStream({ pull, cancel }, { highWaterMark: 0 })
}

function isByteStream(source: ReadableStream): boolean {
  try {
    const reader = ReadableStream.prototype.getReader.call(source, {
      mode: 'byob',
    }) as ReadableStreamBYOBReader
    reader.releaseLock()
    return true
  } catch {
    return false
  }
}
