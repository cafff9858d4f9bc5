// What the code that runs now belongs to: a value that follows a function through its awaits, where the runtime has an
// AsyncLocalStorage, and until its first await elsewhere. All copies of the package in a program share it.
//
// To follow awaits costs a fifth of what a call of the limiter costs otherwise, so callers decide when it is worth it.

interface Storage {
  run<S, R>(value: unknown, fn: (argument: S) => R, argument: S): R
  getStore(): unknown
  disable(): void
}

export interface AsyncContext {
  /** The value, until the function that began with it first awaits. */
  current: unknown
  /** Keeps the value after that. Undefined: nobody has looked for it; null: this runtime has none. */
  storage: Storage | null | undefined
  /** The values that signals stand for, where there is no storage. */
  readonly marks: WeakMap<AbortSignal, unknown>
  /** Whether values are worth following through awaits, wherever they come from. */
  wanted: boolean
}

const KEY = Symbol.for('llmiter.context')
type Global = typeof globalThis & {
  [KEY]?: AsyncContext
  process?: { getBuiltinModule?: (name: string) => { AsyncLocalStorage: new () => Storage } | undefined }
}

/** Read and written directly, not by functions: it is looked at twice for each call. */
export const context: AsyncContext = ((globalThis as Global)[KEY] ??= {
  current: undefined,
  storage: undefined,
  marks: new WeakMap(),
  wanted: false,
})

/** The value that a signal stands for. */
const markedBy = (signal: AbortSignal | undefined): unknown => signal && context.marks.get(signal)

/** The value of the code that runs now. Where awaits cannot be followed, the signal that it was given tells. */
export const contextOf = (signal: AbortSignal | undefined): unknown =>
  context.current ?? (context.storage ? context.storage.getStore() : markedBy(signal))

/** Looks for a storage, once. Without an import: the package loads where there are no built-in modules. */
export function findStorage(): Storage | null {
  const { AsyncLocalStorage } = (globalThis as Global).process?.getBuiltinModule?.('async_hooks') ?? {}
  return (context.storage = AsyncLocalStorage ? new AsyncLocalStorage() : null)
}

/** Runs a function as a part of nothing: for work that is not only of the code that runs now. */
export function outside<T>(fn: () => T): T {
  const before = context.current
  context.current = undefined
  try {
    return context.storage ? context.storage.run(undefined, fn, undefined) : fn()
  } finally {
    context.current = before
  }
}
