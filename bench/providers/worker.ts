/**
 * The process in which one client runs its cases: it receives a case and a seed, and answers with figures. Started
 * by workers.ts with the client's name, with `virtual` unless its cases need real time, and with the rule of the
 * law that is switched off, if any.
 */
import { switchOff } from './ablation/patch.ts'
import type { ClientName, Figures } from './case.ts'

const [client, time, ablation] = process.argv.slice(2) as [ClientName, string, string?]
if (ablation !== undefined) switchOff(ablation)
// After switchOff, because the fakes load the library. Before the clients, because a package may keep the globals
// it finds.
const { installFakes, seedRandom } = await import('./fakes.ts')
if (time === 'virtual') installFakes()
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
