// Identifying clients: no header can give a client a second identity, unless a proxy of ours wrote it.

import { isIP, isIPv4 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressKey, parseAddress, parseNetwork, within } from '../../src/inbound/address.ts'
import { clientAddress, parseTrust, type TrustProxy } from '../../src/inbound/trust-proxy.ts'

const keyOf = (text: string, bits = 64) => {
  const address = parseAddress(text)
  return address && addressKey(address, bits)
}

describe('an address', () => {
  test.each([
    ['1.2.3.4', '1.2.3.4'],
    [' 1.2.3.4:8080 ', '1.2.3.4'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::FFFF:0102:0304', '1.2.3.4'],
    ['0:0:0:0:0:ffff:1.2.3.4', '1.2.3.4'],
    ['[::ffff:1.2.3.4]:443', '1.2.3.4'],
    ['::1', '0:0:0:0::/64'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::9]:443', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['fe80::1%25en1', 'fe80:0:0:0::/64'],
    ['64:ff9b::1.2.3.4', '64:ff9b:0:0::/64'],
  ])('%s is known as %s', (text, key) => expect(keyOf(text)).toBe(key))

  test.each([
    [32, '2001:db8::/32'],
    [48, '2001:db8:aaaa::/48'],
    [56, '2001:db8:aaaa:bb00::/56'],
    [60, '2001:db8:aaaa:bbb0::/60'],
    [127, '2001:db8:aaaa:bbbb:1:2:3:fffe/127'],
    [128, '2001:db8:aaaa:bbbb:1:2:3:ffff/128'],
  ])('by %s bits is known as %s', (bits, key) => {
    expect(keyOf('2001:db8:aaaa:bbbb:1:2:3:ffff', bits)).toBe(key)
    expect(keyOf('1.2.3.4', bits)).toBe('1.2.3.4')
  })

  test.each([
    ...[
      '',
      'unknown',
      '_hidden',
      '1.2.3',
      '1.2.3.4.5',
      '1.2.3.256',
      '01.2.3.4',
      '0x1.2.3.4',
      '1.2.3.4/8',
      '1.2.3.4:',
    ],
    ...[
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '12345::',
      'g::',
      '1.2.3.4::',
      '::1.2.3',
      '[::1',
    ],
    ...[
      '1:2:3:4:5:6:7::8',
      '::1:443:x',
      '"1.2.3.4"',
      '1.2.3.4,5.6.7.8',
      `${'1:'.repeat(9999)}`,
      '%',
      '%eth0',
    ],
  ])('%s is none', (text) => expect(keyOf(text)).toBeUndefined())

  test('is what Node takes for one', () => {
    const piece = fc.constantFrom(
      '',
      '0',
      '1',
      'ff',
      'ffff',
      ':',
      '::',
      '.',
      '1.2.3.4',
      '255',
      '256',
      'g',
      '%x',
    )
    const garbage = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''))
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), garbage), (text) => {
        // A port or a zone is more than Node allows at this place.
        fc.pre(!/^[\d.]+:\d+$/.test(text) && !text.includes('%'))
        expect(parseAddress(text) !== undefined).toBe(isIP(text) !== 0)
        if (isIPv4(text)) expect(keyOf(`::ffff:${text}`)).toBe(keyOf(text))
      }),
      { numRuns: 5000 },
    )
  })

  test('is in its networks', () => {
    const is = (address: string, network: string) => within(parseAddress(address)!, parseNetwork(network)!)
    expect(is('10.255.0.1', '10.0.0.0/8')).toBe(true)
    expect(is('::ffff:10.255.0.1', '10.0.0.0/8')).toBe(true)
    expect(is('11.0.0.1', '10.0.0.0/8')).toBe(false)
    expect(is('172.31.255.255', '172.16.0.0/12')).toBe(true)
    expect(is('172.32.0.0', '172.16.0.0/12')).toBe(false)
    expect(is('192.168.1.7', '192.168.1.7')).toBe(true)
    expect(is('192.168.1.6', '192.168.1.7/32')).toBe(false)
    expect(is('fd12::1', 'fd00::/8')).toBe(true)
    expect(is('fc12::1', 'fd00::/8')).toBe(false)
    expect(is('8.8.8.8', '0.0.0.0/0')).toBe(true)
    expect(is('2001::1', '0.0.0.0/0')).toBe(false)
    expect(is('8.8.8.8', '::/0')).toBe(true)
  })
})

const who = (trust: TrustProxy | undefined, peer: string | undefined, forwarded?: string) => {
  const address = clientAddress(
    peer === undefined ? undefined : parseAddress(peer),
    forwarded,
    parseTrust(trust),
  )
  return address && addressKey(address, 64)
}

describe('behind proxies', () => {
  const ours = ['10.0.0.0/8', '::1']
  test.each<
    [
      trust: TrustProxy | undefined,
      peer: string | undefined,
      forwarded: string | undefined,
      client: string | undefined,
    ]
  >([
    // No proxy is trusted.
    [undefined, '9.9.9.9', '1.1.1.1', '9.9.9.9'],
    [0, '9.9.9.9', '1.1.1.1', '9.9.9.9'],
    [[], '9.9.9.9', '1.1.1.1', '9.9.9.9'],
    // Our proxies, by address.
    [ours, '10.0.0.1', '1.1.1.1', '1.1.1.1'],
    [ours, '::ffff:10.0.0.1', '1.1.1.1', '1.1.1.1'],
    [ours, '10.0.0.1', '6.6.6.6, 1.1.1.1', '1.1.1.1'],
    [ours, '10.0.0.1', '6.6.6.6, 1.1.1.1, 10.0.0.2,10.0.0.3', '1.1.1.1'],
    [ours, '9.9.9.9', '10.0.0.1, 10.0.0.2', '9.9.9.9'],
    [ours, '10.0.0.1', '10.0.0.7, 10.0.0.8', '10.0.0.7'],
    [ours, '10.0.0.1', undefined, '10.0.0.1'],
    [ours, '10.0.0.1', '', '10.0.0.1'],
    [ours, '10.0.0.1', ', ,', '10.0.0.1'],
    [ours, '10.0.0.1', 'unknown', '10.0.0.1'],
    [ours, '10.0.0.1', '1.1.1.1, unknown', '10.0.0.1'],
    [ours, '10.0.0.1', 'garbage, 1.1.1.1', '1.1.1.1'],
    [ours, '::1', '2001:db8::1%eth0', '2001:db8:0:0::/64'],
    [ours, '10.0.0.1', '[2001:db8::1]:1234', '2001:db8:0:0::/64'],
    // This number of proxies is trusted.
    [1, '9.9.9.9', '6.6.6.6, 1.1.1.1', '1.1.1.1'],
    [2, '9.9.9.9', '6.6.6.6, 1.1.1.1, 2.2.2.2', '1.1.1.1'],
    [2, '9.9.9.9', '1.1.1.1', '1.1.1.1'],
    [1, '9.9.9.9', undefined, '9.9.9.9'],
    [1, undefined, '1.1.1.1', '1.1.1.1'],
    [0, undefined, '1.1.1.1', undefined],
    [ours, undefined, '1.1.1.1', undefined],
  ])('trust %j: %s, %s is %s', (trust, peer, forwarded, client) => {
    expect(who(trust, peer, forwarded)).toBe(client)
  })

  const anything = fc.oneof(
    fc.string(),
    fc
      .array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('10.0.0.1', 'unknown', '', ':', '[', '%')), {
        maxLength: 40,
      })
      .map((list) => list.join(', ')),
  )

  test('nothing that a client writes gives it another name', () => {
    fc.assert(
      fc.property(anything, (written) => {
        // Straight to the server.
        for (const trust of [undefined, 0, ours]) expect(who(trust, '9.9.9.9', written)).toBe('9.9.9.9')
        // Through our proxies, each of which appends where it was called from.
        const through = written === '' ? '1.1.1.1' : `${written}, 1.1.1.1`
        expect(who(ours, '10.0.0.1', through)).toBe('1.1.1.1')
        expect(who(ours, '10.0.0.2', `${through}, 10.0.0.1`)).toBe('1.1.1.1')
        expect(who(1, '10.0.0.1', through)).toBe('1.1.1.1')
        expect(who(2, '10.0.0.2', `${through}, 10.0.0.1`)).toBe('1.1.1.1')
      }),
      { numRuns: 2000 },
    )
  })

  test('a list without end is not read to its end', () => {
    expect(who(['10.0.0.0/8'], '10.0.0.1', '10.0.0.9,'.repeat(100_000) + '10.0.0.9')).toBe('10.0.0.9')
  })
})
