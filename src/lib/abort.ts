// One listener for each signal, however many calls share it: Node looks through all listeners of a signal at
// each `addEventListener`, so a batch of 100,000 calls with one signal would take tens of seconds to queue.

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
 * Passes an abort on for as long as `result` lives: a body may be read when its call is long over. `AbortSignal.any`
 * would do, but Node 20 keeps its signals for ever while somebody listens, and some SDKs never stop to. So nothing
 * here may hold the result, or what might.
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
