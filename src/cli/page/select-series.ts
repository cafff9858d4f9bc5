// Which limiter of a run is shown.

import { type Columns, together } from './series.ts'
import { ALL } from './labels.ts'

/** The limiter of this name; without one all of them as one. Nothing, where there is none of this name. */
export function pick(all: readonly Columns[], name = ALL): Columns {
  const found = all.find((columns) => columns.name === name)
  if (found) return found
  const chosen = name === ALL ? all : []
  return chosen.length === 1 ? chosen[0]! : together(chosen, name)
}
