/** All cases of the bench, and the selection of cases by name. */
import type { Case } from './case.ts'
import { models } from './models.ts'
import { pacingCases } from './pacing.ts'
import { fleetCases } from './rows/fleet.ts'
import { foreignCases } from './rows/foreign.ts'
import { lightCases } from './rows/light.ts'
import { outageCases } from './rows/outage.ts'
import { peerCases } from './rows/peers.ts'
import { realTimeCases } from './rows/real-time.ts'
import { slowCases } from './rows/slow.ts'
import { specialCases } from './rows/special.ts'
import { tokenCases } from './rows/tokens.ts'

export const cases: readonly Case[] = [
  ...peerCases(),
  ...pacingCases(),
  ...fleetCases(),
  ...outageCases(),
  ...foreignCases(),
  ...slowCases(),
  ...lightCases(),
  ...tokenCases(),
  ...specialCases(),
  ...realTimeCases(),
]

const byId = new Map(cases.map((one) => [one.id, one]))
if (byId.size < cases.length) throw new Error('two cases have the same id')

export function findCase(id: string): Case {
  return byId.get(id)!
}

/** The cases of a provider, of a section, or one by its id. Undefined if there is none of that name. */
export function casesNamed(name: string): Case[] | undefined {
  const meant = cases.filter(({ id, model, section }) => [id, model, section].includes(name))
  return meant.length > 0 ? meant : undefined
}

export const caseNames = () => [...Object.keys(models), ...new Set(cases.map(({ section }) => section))]
