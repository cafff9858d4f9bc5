// Tells which call the running code belongs to. The value follows a function through its awaits if the runtime has
// AsyncLocalStorage, and otherwise only until its first await. All copies of the package in a program share it.
//
// Following awaits adds a fifth to the cost of a call, so callers decide when to do it.

interface Storage {
  run<S, R>(value: unknown, fn: (argument: S) => R, argument: S): R
  getStore(): unknown
  disable(): void
}

export interface AsyncContext {
  /** The value until the function that started with it first awaits. */
  current: unknown
  /** Keeps the value after that. Undefined: not looked for yet. Null: this runtime has none. */
  storage: Storage | null | undefined
  /** The values that signals stand for, if there is no storage. */
  readonly marks: WeakMap<AbortSignal, unknown>
  /** Whether to follow values through awaits. */
  wanted: boolean
}

const KEY = Symbol.for('llmiter.context')
type Global = typeof globalThis & {
  [KEY]?: AsyncContext
  process?: { getBuiltinModule?: (name: string) => { AsyncLocalStorage: new () => Storage } | undefined }
}

/** Accessed directly instead of through functions, because each call reads it twice. */
export const context: AsyncContext = ((globalThis as Global)[KEY] ??= {
  current: undefined,
  storage: undefined,
  marks: new WeakMap(),
  wanted: false,
})

/** The value that a signal stands for. */
const markedBy = (signal: AbortSignal | undefined): unknown => signal && context.marks.get(signal)

/**
 * The value of the running code. If awaits cannot be followed, it is looked up by the signal that the code was
 * given.
 */
export const contextOf = (signal: AbortSignal | undefined): unknown =>
  context.current ?? (context.storage ? context.storage.getStore() : markedBy(signal))

/**
 * Looks for AsyncLocalStorage, once. Does not import it, so that the package loads where there are no built-in
 * modules.
 */
export function findStorage(): Storage | null {
  const { AsyncLocalStorage } = (globalThis as Global).process?.getBuiltinModule?.('async_hooks') ?? {}
  return (context.storage = AsyncLocalStorage ? new AsyncLocalStorage() : null)
}

/** Runs a function outside of any call, for work that does not belong to the running code alone. */
export function outside<T>(fn: () => T): T {
  const before = context.current
  context.current = undefined
  try {
    return context.storage ? context.storage.run(undefined, fn, undefined) : fn()
  } finally {
    context.current = before
  }
}
