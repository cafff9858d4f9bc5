// IPv4 and IPv6 addresses as eight 16-bit groups. IPv4 is stored as its mapped IPv6 address.
//
// An IPv6 client is identified by a prefix, usually its /64, because one household or server has 2⁶⁴ addresses.

/** Eight numbers from 0 to 0xffff. */
export type IpAddress = readonly number[]

export interface Network {
  readonly address: IpAddress
  readonly bits: number
}

const MAPPED = [0, 0, 0, 0, 0, 0xffff] as const

/** Parses `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]:80`, `fe80::1%eth0`. Undefined for anything else. */
export function parseAddress(text: string): IpAddress | undefined {
  const trimmed = text.trim()
  if (trimmed.length > 100) return undefined
  const bare = trimmed.startsWith('[') ? (/^\[([^\]]*)\](?::\d{1,5})?$/.exec(trimmed)?.[1] ?? '') : trimmed
  const v4 = parseV4(bare)
  return v4 ? [...MAPPED, ...v4] : parseV6(bare.replace(/%.*$/s, ''))
}

/** Parses an address or a network: `10.0.0.0/8`, `fd00::/8`, `127.0.0.1`. */
export function parseNetwork(text: string): Network | undefined {
  const [, base = '', length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const address = parseAddress(base)
  if (!address) return undefined
  const own = base.includes(':') ? 0 : 96
  const bits = length === undefined ? 128 : own + Number(length)
  return bits <= 128 ? { address, bits } : undefined
}

export function within(address: IpAddress, { address: base, bits }: Network): boolean {
  return base.every((group, i) => {
    const kept = Math.min(16, Math.max(0, bits - 16 * i))
    return (group ^ address[i]!) >> (16 - kept) === 0
  })
}

/** The key of the client at this address: `1.2.3.4`, or for IPv6 a prefix of this many bits, `2001:db8:0:1::/64`. */
export function addressKey(address: IpAddress, bits: number): string {
  const [a, b] = address.slice(6) as [number, number]
  if (MAPPED.every((group, i) => group === address[i])) return `${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`
  const groups = address.slice(0, Math.ceil(bits / 16)).map((group, i) => {
    const cut = Math.max(0, 16 * (i + 1) - bits)
    return ((group >> cut) << cut).toString(16)
  })
  return `${groups.join(':')}${groups.length < 8 ? '::' : ''}/${bits}`
}

// No leading zeros, because some parsers read them as octal.
const V4 = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})(?::\d{1,5})?$/

function parseV4(text: string): [number, number] | undefined {
  const found = V4.exec(text)
  if (!found) return undefined
  const [a, b, c, d] = [Number(found[1]), Number(found[2]), Number(found[3]), Number(found[4])]
  return a < 256 && b < 256 && c < 256 && d < 256 ? [(a << 8) | b, (c << 8) | d] : undefined
}

function parseV6(text: string): number[] | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [left, right] = halves.map((half, i) => groupsOf(half, i === halves.length - 1))
  if (!left || (halves.length === 2 && !right)) return undefined
  if (!right) return left.length === 8 ? left : undefined
  const missing = 8 - left.length - right.length
  return missing > 0 ? [...left, ...new Array<number>(missing).fill(0), ...right] : undefined
}

function groupsOf(half: string, last: boolean): number[] | undefined {
  if (half === '') return []
  const groups: number[] = []
  const parts = half.split(':')
  for (const [i, part] of parts.entries()) {
    const v4 = last && i === parts.length - 1 ? parseV4(part) : undefined
    if (v4) groups.push(...v4)
    else if (/^[\da-f]{1,4}$/i.test(part)) groups.push(parseInt(part, 16))
    else return undefined
  }
  return groups
}
