// A failover: the clients reach another Redis, which knows all, or less, or nothing. No window and no quota is the worse for it.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startCable } from '../../bench/fleet/proxy.ts'
import { haveRedis } from '../support/redis.ts'
import { AMOUNT, config, crew, scene, sleep, WINDOW } from './fleet-harness.ts'

const unhandled: unknown[] = []
const note = (error: unknown) => unhandled.push(error)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))
afterEach(() => expect(unhandled).toEqual([]))

describe.skipIf(!haveRedis())('the store', () => {
  describe.each(['an equal copy', 'an old copy', 'nothing'] as const)('fails over to one with %s', (copy) => {
    test.concurrent.each(['dies', 'is demoted'])('when the old one %s', async (end) => {
      await scene(async (old, admin) => {
        await scene(async (next, command) => {
          if (copy !== 'nothing') {
            await config(admin, 'repl-diskless-sync-delay', '0')
            await command.call('REPLICAOF', '127.0.0.1', String(old.port))
            await expect.poll(() => command.info('replication')).toContain('master_link_status:up')
          }
          const cable = await startCable(old.port)
          const quota = { of: 'requests', amount: 350, per: '1h' as const }
          const { hands, start, stop, used, states, most, times } = crew(cable.url, {
            limiter: { limits: [{ of: 'requests', amount: AMOUNT, per: WINDOW }, quota] },
          })
          start()
          await sleep(2000)
          if (copy === 'an old copy') {
            await command.call('REPLICAOF', 'NO', 'ONE')
            await sleep(2000)
          }
          cable.lead(next.port)
          if (end === 'dies') await old.stop()
          else await admin.call('REPLICAOF', '127.0.0.1', String(next.port))
          await command.call('REPLICAOF', 'NO', 'ONE')
          await sleep(2000)
          expect(await used(2000)).toBeGreaterThan(0.93)
          for (const state of states()) expect(['', 'down up']).toContain(state)
          expect(most()).toBeLessThanOrEqual(AMOUNT + 1)
          expect(hands.flatMap(({ errors }) => errors)).toEqual([])
          // What the copy has lost is reported to it again, so no quota is spent twice. At most a second of calls
          // is reported twice, which counts against us.
          await sleep(4000)
          expect(times.length).toBeLessThanOrEqual(quota.amount)
          expect(times.length).toBeGreaterThan(copy === 'an old copy' ? 290 : quota.amount - 5)
          stop()
          await cable.close()
        })
      })
    })
  })
})
