// Finds the address a request came from, behind proxies.
//
// Each proxy appends the address that connected to it to `X-Forwarded-For`. So the list can be trusted from its
// right end, as far as the proxies are ours. Everything to the left of that was written by the client. The list is
// read from the right, up to the last trusted proxy.

import { type IpAddress, type Network, parseAddress, parseNetwork, within } from './address.ts'
import { text } from '../lib/validate.ts'

/** The number of trusted proxies in front of the server, or their addresses and networks: `['10.0.0.0/8', '::1']`. */
export type TrustProxy = number | readonly string[]

export type Trust = number | readonly Network[]

/** More proxies than any server has. Bounds how much of a header is read. */
const MOST_HOPS = 32

export function parseTrust(option: TrustProxy = 0): Trust {
  const allowed = `the number of proxies (0 to ${MOST_HOPS}) or their addresses, like ['10.0.0.0/8', '::1']`
  if (typeof option === 'number') {
    if (Number.isInteger(option) && option >= 0 && option <= MOST_HOPS) return option
    throw new TypeError(`trustProxy must be ${allowed}, got ${text(option)}`)
  }
  if (!Array.isArray(option)) throw new TypeError(`trustProxy must be ${allowed}, got ${text(option)}`)
  return option.map((each: unknown, i) => {
    const network = typeof each === 'string' ? parseNetwork(each) : undefined
    if (!network)
      throw new TypeError(
        `trustProxy[${i}] must be an address or a network like '10.0.0.0/8', got ${text(each)}`,
      )
    return network
  })
}

/**
 * `peer` is the address of the connection, or undefined for a Unix socket. Returns undefined if no address is
 * known.
 */
export function clientAddress(
  peer: IpAddress | undefined,
  forwarded: string | undefined,
  trust: Trust,
): IpAddress | undefined {
  let address = peer
  if (!forwarded) return address
  const trusts = (hop: number) =>
    typeof trust === 'number'
      ? hop < trust
      : address !== undefined && trust.some((network) => within(address!, network))
  let end = forwarded.length
  for (let hop = 0; end > 0 && hop < MOST_HOPS && trusts(hop); hop++) {
    const start = forwarded.lastIndexOf(',', end - 1) + 1
    const next = parseAddress(forwarded.slice(start, end))
    // The entry cannot be parsed, so the proxy's own address identifies its clients.
    if (!next) break
    address = next
    end = start - 1
  }
  return address
}
