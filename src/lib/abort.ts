// Adds one listener per signal, however many calls share it. Node scans all listeners of a signal in each
// `addEventListener`, so queueing a batch of 100,000 calls with one signal would take tens of seconds.

interface Watched {
  readonly calls: Set<() => void>
  readonly fire: () => void
}

const signals = new WeakMap<AbortSignal, Watched>()

/** Calls `onAbort` when the signal aborts. Returns a function that stops watching. */
export function watch(signal: AbortSignal, onAbort: () => void): () => void {
  const watched = signals.get(signal) ?? listen(signal)
  watched.calls.add(onAbort)
  return () => unwatch(signal, onAbort)
}

function unwatch(signal: AbortSignal, onAbort: () => void): void {
  const watched = signals.get(signal)
  if (!watched?.calls.delete(onAbort) || watched.calls.size > 0) return
  signal.removeEventListener('abort', watched.fire)
  signals.delete(signal)
}

/**
 * Forwards an abort for as long as `result` is alive: its body may be read long after the call ended.
 * `AbortSignal.any` would do this, but Node 20 keeps its signals alive while they have a listener, and some SDKs
 * never remove theirs. So nothing here may hold a reference to the result, or to anything that refers to it.
 */
export function passOn(signal: AbortSignal, to: AbortController, result: object): void {
  const onAbort = () => to.abort(signal.reason)
  watch(signal, onAbort)
  results?.register(result, { signal: new WeakRef(signal), onAbort: new WeakRef(onAbort) })
}

interface Passing {
  readonly signal: WeakRef<AbortSignal>
  readonly onAbort: WeakRef<() => void>
}

const results =
  typeof FinalizationRegistry === 'function'
    ? new FinalizationRegistry((passing: Passing) => {
        const signal = passing.signal.deref()
        const onAbort = passing.onAbort.deref()
        if (signal && onAbort) unwatch(signal, onAbort)
      })
    : undefined

function listen(signal: AbortSignal): Watched {
  const calls = new Set<() => void>()
  const fire = () => {
    for (const onAbort of [...calls]) onAbort()
  }
  const watched = { calls, fire }
  signal.addEventListener('abort', fire, { once: true })
  signals.set(signal, watched)
  return watched
}
