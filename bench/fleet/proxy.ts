// A cable between processes and Redis that can be cut: at once, or so that nothing comes through any more. It can be
// slow, and it can lead elsewhere, as a name does whose server was replaced.

import { createServer, connect, type AddressInfo, type Socket } from 'node:net'

export interface Cable {
  readonly url: string
  /** Connections break, and new ones are refused. */
  cut(): void
  /** Nothing comes through, and nobody is told. */
  swallow(): void
  mend(): void
  /** New connections work; what those before have lost stays lost, and nobody breaks them. */
  pass(): void
  /** What comes through takes so long, each way. */
  slow(ms: number): void
  /** New connections go to this port; those that are there stay where they are. */
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
      // What was swallowed is lost for good: those connections are of no use.
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
