/**
 * The process in which one client runs its cases: told a case and a seed, it answers with figures. Started by
 * workers.ts with the client's name, and with `virtual` unless its cases need real time.
 */
import type { ClientName, Figures } from './case.ts'
import { installFakes, seedRandom } from './fakes.ts'

const [client, time] = process.argv.slice(2) as [ClientName, string]
if (time === 'virtual') installFakes()
// After the fakes: a package may keep the globals that it finds when it is loaded.
const { findCase } = await import('./cases.ts')

process.on('message', async ({ id, seed }: { id: string; seed: number }) => {
  if (time === 'virtual') seedRandom(seed)
  let answer: { figures: Figures } | { error: string }
  try {
    answer = { figures: await findCase(id).run(client, seed) }
  } catch (error) {
    answer = { error: `${id}, ${client}, seed ${seed}: ${(error as Error).stack}` }
  }
  process.send!(answer)
})
process.send!('ready')
