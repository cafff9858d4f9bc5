// A connection between processes and Redis that can be cut, either with an error or silently. It can be slow, and
// it can lead to another port, like a name whose server was replaced.

import { createServer, connect, type AddressInfo, type Socket } from 'node:net'

export interface Cable {
  readonly url: string
  /** Breaks connections, and refuses new ones. */
  cut(): void
  /** Drops all bytes without notice. */
  swallow(): void
  mend(): void
  /** New connections work. Old ones keep what they have lost, and are not broken. */
  pass(): void
  /** Delays bytes by this long in each direction. */
  slow(ms: number): void
  /** New connections go to this port. Existing ones stay where they are. */
  lead(port: number): void
  close(): Promise<void>
}

export async function startCable(port: number): Promise<Cable> {
  const ends = new Set<Socket>()
  /** Connections that have lost bytes. */
  const deaf = new Set<Socket>()
  let state: 'whole' | 'cut' | 'swallows' = 'whole'
  let lateMs = 0
  const server = createServer((near) => {
    if (state === 'cut') {
      near.destroy()
      return
    }
    const far = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      ends.add(from)
      from.on('data', (data) => {
        if (state !== 'whole') deaf.add(near)
        if (deaf.has(near)) return
        if (lateMs === 0) to.write(data)
        else setTimeout(() => to.write(data), lateMs)
      })
      from.on('error', () => {})
      from.on('close', () => {
        ends.delete(from)
        deaf.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const breakAll = () => ends.forEach((end) => end.destroy())
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      state = 'cut'
      breakAll()
    },
    swallow() {
      state = 'swallows'
    },
    mend() {
      // Dropped bytes are lost for good, so those connections are useless.
      if (state === 'swallows') breakAll()
      state = 'whole'
    },
    pass() {
      state = 'whole'
    },
    slow(ms) {
      lateMs = ms
    },
    lead(to) {
      port = to
    },
    close() {
      breakAll()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
