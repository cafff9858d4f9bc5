// Every wrong option is a TypeError that names the option, the value and what is allowed.

import { describe, expect, test } from 'vitest'
import { guard, type GuardOptions } from 'llmiter/inbound'
import { VirtualClock } from 'llmiter/testing'

const FORMS = `'30 per 60s'`
const limit = '30 per 60s'

describe('a wrong option', () => {
  test.each<[options: object | undefined, ...words: string[]]>([
    [undefined, 'guard', 'undefined'],
    [{}, 'limit', 'undefined', FORMS],
    [{ limit: '' }, 'limit', `''`, FORMS],
    [{ limit: 30 }, 'limit', '30', FORMS],
    [{ limit: null }, 'limit', 'null', FORMS],
    [{ limit: [] }, 'limit', '[]', FORMS],
    [{ limit: '30' }, 'limit', `'30'`, FORMS],
    [{ limit: 'per 60s' }, 'limit', `'per 60s'`, FORMS],
    [{ limit: '30 per' }, 'limit', `'30 per'`, FORMS],
    [{ limit: '30per60s' }, 'limit', `'30per60s'`, FORMS],
    [{ limit: '0 per 60s' }, 'amount of limit', `'0 per 60s'`, '1 to 100000'],
    [{ limit: '-3/minute' }, 'amount of limit', `'-3/minute'`],
    [{ limit: '0.5/minute' }, 'amount of limit', `'0.5/minute'`, 'whole'],
    [{ limit: 'NaN/minute' }, 'amount of limit', `'NaN/minute'`],
    [{ limit: '1e9/minute' }, 'amount of limit', `'1e9/minute'`, '100000'],
    [{ limit: '30 per 60' }, 'time of limit', `'30 per 60'`, `'60s'`],
    [{ limit: '30 per 0s' }, 'time of limit', `'30 per 0s'`],
    [{ limit: '30 per fortnight' }, 'time of limit', 'fortnight', FORMS, `'15/minute'`],
    [{ limit: 'five/min' }, 'amount of limit', `'five/min'`, FORMS],
    [{ limit: '30 per constructor' }, 'time of limit', 'constructor'],
    [{ limit: { amount: 0, per: '1m' } }, 'limit.amount', '0', '1 to 100000'],
    [{ limit: { amount: -1, per: '1m' } }, 'limit.amount', '-1'],
    [{ limit: { amount: 1.5, per: '1m' } }, 'limit.amount', '1.5', 'whole'],
    [{ limit: { amount: NaN, per: '1m' } }, 'limit.amount', 'NaN'],
    [{ limit: { amount: '30', per: '1m' } }, 'limit.amount', `'30'`],
    [{ limit: { amount: 30 } }, 'limit.per', 'undefined'],
    [{ limit: { amount: 30, per: 0 } }, 'limit.per', '0'],
    [{ limit: { amount: 30, per: Infinity } }, 'limit.per', 'Infinity'],
    [{ limit: { amount: 30, per: '1m', burst: 2 } }, 'limit', 'burst', 'amount, per, name'],
    [{ limit: { amount: 30, per: '1m', name: 'mütze' } }, 'limit.name', 'mütze', 'ASCII'],
    [{ limit: { amount: 30, per: '1m', name: 'a\r\nb' } }, 'limit.name', 'ASCII'],
    [{ limit: ['5/s', '0/s'] }, 'limit[1]', `'0/s'`],
    [{ limit: ['5/s', '5 per s'] }, 'twice', `'5 per s'`],
    [{ limit: ['5/m', '5 per 60s'] }, 'twice', `'5 per 60s'`],
    [{ limit: ['5/m', { amount: 9, per: '1h', name: '5 per m' }] }, 'twice', `'5 per m'`],
    [{ limit, limits: [] }, 'limits', 'known: limit'],
    [{ limit, name: '' }, 'name', `''`],
    [{ limit, key: 'user' }, 'key', `'user'`, 'function'],
    [{ limit, skip: true }, 'skip', 'true', 'function'],
    [{ limit, address: '::1' }, 'address', `'::1'`, 'function'],
    [{ limit, body: {} }, 'body', '{}', 'function'],
    [{ limit, trustProxy: true }, 'trustProxy', 'true', 'number of proxies'],
    [{ limit, trustProxy: -1 }, 'trustProxy', '-1'],
    [{ limit, trustProxy: 1.5 }, 'trustProxy', '1.5'],
    [{ limit, trustProxy: '10.0.0.0/8' }, 'trustProxy', `'10.0.0.0/8'`],
    [{ limit, trustProxy: ['10.0.0.0/33'] }, 'trustProxy[0]', '10.0.0.0/33', 'network'],
    [{ limit, trustProxy: ['::1', '::1/129'] }, 'trustProxy[1]', '::1/129'],
    [{ limit, trustProxy: ['loopback'] }, 'trustProxy[0]', 'loopback'],
    [{ limit, trustProxy: [null] }, 'trustProxy[0]', 'null'],
    [{ limit, maxKeys: 0 }, 'maxKeys', '0'],
    [{ limit, maxKeys: 1e9 }, 'maxKeys', '1000000000'],
    [{ limit, ipv6Prefix: 64.5 }, 'ipv6Prefix', '64.5', '32 to 128'],
    [{ limit, ipv6Prefix: 24 }, 'ipv6Prefix', '24', '32 to 128'],
    [{ limit, ipv6Subnet: 56 }, 'ipv6Subnet', 'ipv6Prefix'],
    [{ limit, hashKeys: 'md5' }, 'hashKeys', `'md5'`, 'true or false'],
    [{ limit, store: {} }, 'store', '{}', 'redisGuardStore'],
    [{ limit, store: { take() {} } }, 'name', 'store'],
    [{ limit, onStoreDown: 'share' }, 'onStoreDown', `'share'`, `'local' or 'open' or 'closed'`],
    [{ limit, storeTimeoutMs: 0 }, 'storeTimeoutMs', '0'],
    [{ limit, storeTimeoutMs: 'soon' }, 'storeTimeoutMs', `'soon'`],
    [{ limit, clock: {} }, 'clock', '{}', 'now()'],
  ])('%j', (options, ...words) => {
    let error: unknown
    try {
      guard(options as unknown as GuardOptions)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(TypeError)
    for (const word of words) expect((error as Error).message).toContain(word)
  })

  test('of check() and on()', async () => {
    const limiter = guard({ limit })
    for (const key of ['', undefined, null, {}, NaN])
      await expect(limiter.check(key as string)).rejects.toThrow(/^key must be a non-empty string/)
    expect(() => limiter.on('refused' as 'refuse', () => {})).toThrow(
      "no event 'refused' (did you mean 'refuse'?); known: refuse, full",
    )
    expect(() => limiter.on('refuse', 5 as never)).toThrow('listener must be a function, got 5')
  })
})

test.each<[GuardOptions['limit'], name: string, amount: number, perMs: number]>([
  ['30 per 60s', '30 per 60s', 30, 60_000],
  ['15/minute', '15 per minute', 15, 60_000],
  ['15/m', '15 per m', 15, 60_000],
  [' 5 / 2 \n Minutes ', '5 per 2 minutes', 5, 120_000],
  ['1000 per day', '1000 per day', 1000, 86_400_000],
  ['7 PER 1.5h', '7 per 1.5h', 7, 5_400_000],
  ['1/100ms', '1 per 100ms', 1, 100],
  [{ amount: 30, per: 500 }, '30 per 500ms', 30, 500],
  [{ amount: 30, per: '1m', name: 'chat' }, 'chat', 30, 60_000],
])('%j is a limit', async (limit, name, amount, perMs) => {
  const { limits } = await guard({ limit, clock: new VirtualClock() }).check('ann')
  expect(limits).toEqual([{ name, amount, perMs, remaining: amount - 1, resetMs: perMs }])
})

test.each([
  ['5/min', 60_000],
  ['5 per min', 60_000],
  ['5/sec', 1000],
  ['5 per 2 hrs', 7_200_000],
])('%s is a limit', async (limit, perMs) => {
  const { limits } = await guard({ limit, clock: new VirtualClock() }).check('ann')
  expect(limits).toMatchObject([{ amount: 5, perMs, remaining: 4 }])
})
