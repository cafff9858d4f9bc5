// Runs a script as a function: by EVALSHA, or by EVAL if the server does not know the script (after a restart or
// flush), which loads it.

import type { Connection } from './connection.ts'

async function shaOf(script: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-1', new TextEncoder().encode(script))
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function cachedScript(connection: Connection, script: string) {
  let sha: Promise<string> | undefined
  return async (keys: string[], args: string[]): Promise<unknown> => {
    try {
      return await connection.call('EVALSHA', await (sha ??= shaOf(script)), keys, args)
    } catch (error) {
      if (!String((error as { message?: unknown })?.message).includes('NOSCRIPT')) throw error
      return connection.call('EVAL', script, keys, args)
    }
  }
}
