// How a command reads its words, and how it says that it cannot: one line, the names that are known, code 2. What
// is no mistake at the keyboard but an empty folder or a full disk ends with code 1.

import { parseArgs, type ParseArgsConfig } from 'node:util'
import { didYouMean, type Synonyms } from '../lib/suggest.ts'

/** A mistake at the keyboard. */
export class UsageError extends Error {}
/** Nothing wrong with the command, but it cannot be done. */
export class CannotError extends Error {}

/** What files and users name, for a terminal: control and direction characters would be obeyed, so they become `?`. */
export const printable = (text: string) =>
  text.replace(/[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (found) => (found === '\n' ? found : '?'))

type Options = NonNullable<ParseArgsConfig['options']>

/** Reads options; one that is not known is told with those that are. */
export function readOptions<O extends Options>(args: string[], options: O, synonyms?: Synonyms) {
  try {
    return parseArgs({ args, options, strict: true }).values
  } catch (error) {
    const known = Object.keys(options).map((name) => `--${name}`)
    const [said] = (error as Error).message.split('. ')
    const unknown = /^Unknown option '(-.*)'$/.exec(said!)?.[1]
    throw new UsageError(`${said}${didYouMean(unknown, known, synonyms)}; known: ${known.join(', ')}`)
  }
}

/** Runs a command; what it throws on purpose becomes a line and a code. */
export async function command(name: string, work: () => Promise<number> | number): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof CannotError)) throw error
    console.error(printable(`llmiter ${name}: ${error.message}`))
    return error instanceof UsageError ? 2 : 1
  }
}
