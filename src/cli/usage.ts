// How a command parses its arguments and reports errors: one line, the known names, exit code 2. Errors that are
// not usage errors, such as an empty folder or a full disk, exit with code 1.

import { parseArgs, type ParseArgsConfig } from 'node:util'
import { didYouMean, type Synonyms } from '../lib/suggest.ts'

/** The command line is wrong. */
export class UsageError extends Error {}
/** The command line is correct, but the command cannot run. */
export class CannotError extends Error {}

/** Text from files and users, made safe for a terminal: control and direction characters are replaced by `?`. */
export const printable = (text: string) =>
  text.replace(/[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (found) => (found === '\n' ? found : '?'))

type Options = NonNullable<ParseArgsConfig['options']>

/** Parses options. An error for an unknown option lists the known ones. */
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

/** Runs a command. Its deliberate errors become a line and an exit code. */
export async function command(name: string, work: () => Promise<number> | number): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof CannotError)) throw error
    console.error(printable(`llmiter ${name}: ${error.message}`))
    return error instanceof UsageError ? 2 : 1
  }
}
