import { statSync } from 'node:fs'

/** A text that changes whenever the file is written. Empty if there is no file. */
export function versionOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false })
  return found ? `${found.ino} ${found.mtimeMs} ${found.size}` : ''
}
