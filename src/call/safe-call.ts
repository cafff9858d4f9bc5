// Runs user functions that may throw. An error goes to the `error` event and changes nothing else.

import type { CallContext } from './pending-call.ts'

export function safeCall<T>(call: () => T, runtime: CallContext, where: string): T | undefined {
  try {
    return call()
  } catch (error) {
    runtime.failed(error, where)
    return undefined
  }
}
