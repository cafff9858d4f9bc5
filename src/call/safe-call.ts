// Code of the user's that we call may throw. It is told to the `error` event and changes nothing else.

import type { Desk } from '../limiter/runtime.ts'

export function guarded<T>(call: () => T, desk: Desk, where: string): T | undefined {
  try {
    return call()
  } catch (error) {
    desk.failed(error, where)
    return undefined
  }
}
