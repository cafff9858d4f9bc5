/**
 * Loads the library with one rule switched off: a hook changes one file of `src/core` while it is loaded. So the
 * source needs no switch, and the law runs as it is, without one fragment.
 */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { ablations, type Ablation } from './list.ts'

const urlOf = (file: string) => new URL(`../../../src/core/${file}`, import.meta.url)

/** Call this before anything loads the file. From then on it is loaded without the rule. */
export function switchOff(name: string): void {
  const ablation = ablations.find((one) => one.name === name)
  if (!ablation) throw new Error(`no rule is called '${name}'`)
  const why = stale(ablation)
  if (why !== undefined) throw new Error(why)
  const { href } = urlOf(ablation.file)
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context)
      if (url !== href) return loaded
      const source = String(Buffer.from(loaded.source as Uint8Array))
      return { ...loaded, source: sourceWithout(ablation, source) }
    },
  })
}

/** The source of its file without the rule. */
export const sourceWithout = ({ fragment, replacement }: Ablation, source: string): string =>
  source.replace(fragment, () => replacement)

/** Why a rule cannot be switched off any more. Undefined if it can. */
export function stale({ name, file, fragment }: Ablation): string | undefined {
  const found = readFileSync(urlOf(file), 'utf8').split(fragment).length - 1
  if (found === 1) return undefined
  return `'${name}': src/core/${file} must have this fragment once, and has it ${found} times: ${fragment}`
}
