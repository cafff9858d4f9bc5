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
  return () => {
    if (!watched.calls.delete(onAbort) || watched.calls.size > 0) return
    signal.removeEventListener('abort', watched.fire)
    signals.delete(signal)
  }
}

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
