// Which address a request came from, when proxies stand before the server.
//
// Each proxy appends to `X-Forwarded-For` the address that it was called from. So the list is true from its right end
// as far as the proxies are ours, and what stands left of that is whatever the client wrote. It is read from the
// right, and no further than trust goes.

import { type IpAddress, type Network, parseAddress, parseNetwork, within } from './address.ts'
import { text } from '../lib/validate.ts'

/** How many proxies stand before the server, or their addresses and networks: `['10.0.0.0/8', '::1']`. */
export type TrustProxy = number | readonly string[]

export type Trust = number | readonly Network[]

/** More proxies than any server has: bounds how much of a header is read. */
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

/** `peer` is the address of the connection, undefined for a Unix socket. Returns undefined if no address is known. */
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
    // The proxy sent nothing readable: its clients are known by the proxy's own address.
    if (!next) break
    address = next
    end = start - 1
  }
  return address
}
