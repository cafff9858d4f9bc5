// A process of its own for the providers test: the real SDK in virtual time, against a provider that refuses all.
import { installFakes } from '../../bench/providers/fakes.ts'
import { run } from '../../bench/providers/run.ts'
import { TokenBucketProvider, OutageProvider } from '../../src/testing/index.ts'

installFakes()
const { sdk } = await import('../../bench/providers/clients/sdk.ts')
const well = new TokenBucketProvider({ requestsPerMinute: 600 })
const { world } = await run({
  seed: 1,
  minutes: 1,
  jitterMs: 50,
  workload: [0],
  provider: () => new OutageProvider(well, { fromMs: 0, toMs: 60_000 }),
  client: (world) => sdk(3)(world, { toldRpm: 600 }),
})
process.send!(world.sentAt.slice(1).map((at, i) => at - world.sentAt[i]!))
process.disconnect()
