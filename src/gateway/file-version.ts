import { statSync } from 'node:fs'

/** Tells whether a file was written since: another text for each time. Empty when there is no file. */
export function versionOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false })
  return found ? `${found.ino} ${found.mtimeMs} ${found.size}` : ''
}
