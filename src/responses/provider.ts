/**
 * The form in which provider knowledge is written: tables, so that a new provider is a few lines and no
 * new code, and so that one classifier serves all of them.
 *
 * For each kind of verdict a table has one pattern. It is tried on the whole of an answer, written as
 * lines (answer.ts): 'http 429' first, then 'code:slow_down', 'message:Slow down, please' and the like. So
 * `:slow_down$` means a code and never prose, and `^http 400$[^]*words` ties prose to a status.
 *
 * A table does not ask which provider it is for. An answer rarely tells who sent it (gateways and
 * OpenAI-compatible servers are everywhere), so each pattern is specific enough to be tried on all answers.
 */

import type { Verdict } from './verdict.ts'

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** A header name, with `*` where it says limit, remaining or reset; what it counts; in which window. */
type LimitRow = readonly [name: string, of: string, perMs?: number]

export interface Provider extends Readonly<
  Partial<Record<Verdict['kind'] | 'slowDown' | 'aborted', RegExp>>
> {
  readonly limits?: readonly LimitRow[]
}
