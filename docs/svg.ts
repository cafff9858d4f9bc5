/** Writes the pictures of this folder. */
import { writeFileSync } from 'node:fs'
import { type Picture, picture } from '../src/cli/page/plot.ts'

export function save(name: string, drawn: Picture): void {
  writeFileSync(new URL(name, import.meta.url), picture(drawn))
}
