// Failures of a fleet and their effects: members with their own connections in one process, on a real Redis.

import { Redis } from 'ioredis'
import { percentile } from '../../src/lib/percentile.ts'
import { type RedisServer, startRedis } from '../../test/support/redis.ts'
import { between, mostIn } from './count.ts'
import { llmiter, type Member, type Peer } from './peers.ts'
import { type Cable, startCable } from './proxy.ts'

const WINDOW = 10_000
const AMOUNT = 600
/** Tickets per ms: what T = (W + J) / n allows. */
const PACE = AMOUNT / (WINDOW + 50)
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** The observations of a scene. */
interface Seen {
  /** The times of all calls sent, and those of each member. */
  times: number[]
  by: number[][]
}

/** Members that make calls. `go` adds one that always has waiting calls. */
class Scene {
  readonly seen: Seen = { times: [], by: [] }
  readonly members: Member[] = []
  over = false

  async join(peer: Peer, url: string): Promise<number> {
    this.members.push(await peer.join(url, AMOUNT, WINDOW))
    return this.seen.by.push([]) - 1
  }

  /** Resolves with how long the call has waited. */
  async call(i: number): Promise<number> {
    const from = performance.now()
    let at = NaN
    await this.members[i]!.run(() => {
      at = performance.now()
      this.seen.times.push(at)
      this.seen.by[i]!.push(at)
    })
    return at - from
  }

  saturate(i: number, calls = 10): void {
    const keepCalling = async () => {
      while (!this.over) await this.call(i).catch(() => sleep(50))
    }
    for (let k = 0; k < calls; k++) void keepCalling()
  }

  end(): void {
    this.over = true
    for (const member of this.members) member.end()
  }
}

async function onStage<T>(act: (scene: Scene, server: RedisServer) => Promise<T>): Promise<T> {
  const server = await startRedis()
  const scene = new Scene()
  try {
    return await act(scene, server)
  } finally {
    scene.end()
    await sleep(200)
    await server.close()
  }
}

const over = (times: readonly number[]) => mostIn(times, WINDOW) - AMOUNT
const used = (times: readonly number[], from: number, to: number) =>
  (100 * between(times, from, to)) / (PACE * (to - from))

/** Calls arrive at this share of the limit. Above 1 they always wait. */
export function loaded(peer: Peer, load: number, ms: number) {
  return onStage(async (scene, { url }) => {
    const admin = new Redis(url)
    const asked = async () => {
      const stats = await admin.info('commandstats')
      return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce(
        (sum, [, n]) => sum + Number(n),
        0,
      )
    }
    for (let i = 0; i < 8; i++) await scene.join(peer, url)
    const meanMs = 8 / (load * (AMOUNT / WINDOW))
    const waits: number[] = []
    const begun = performance.now()
    const arrive = async (i: number) => {
      for (;;) {
        await sleep(-meanMs * Math.log(1 - Math.random()))
        if (scene.over) return
        const waited = scene.call(i)
        waited.then((ms) => performance.now() - begun > 4000 && waits.push(ms)).catch(() => {})
      }
    }
    for (let i = 0; i < 8; i++)
      if (load > 1) scene.saturate(i)
      else void arrive(i)
    await sleep(4000)
    const [before, cpu, from] = [await asked(), process.cpuUsage(), performance.now()]
    await sleep(ms)
    const [to, { user, system }, after] = [performance.now(), process.cpuUsage(cpu), await asked()]
    const tickets = between(scene.seen.times, from, to)
    admin.disconnect()
    waits.sort((a, b) => a - b)
    return {
      p50: percentile(waits, 0.5),
      p95: percentile(waits, 0.95),
      perSecond: ((after - before) * 1000) / (to - from) / 8,
      perTicket: (after - before) / tickets,
      cpuUs: (user + system) / tickets,
      used: used(scene.seen.times, from, to),
      over: over(scene.seen.times),
    }
  })
}

/** Four members next to the store and four at this distance, all with more calls than allowed. */
export function nearAndFar(roundTripMs: number, ms: number) {
  return onStage(async (scene, { url, port }) => {
    const cable = await startCable(port)
    cable.slow(roundTripMs / 2)
    for (let i = 0; i < 8; i++) scene.saturate(await scene.join(llmiter, i < 4 ? url : cable.url))
    await sleep(8000)
    const from = performance.now()
    await sleep(ms)
    const to = performance.now()
    const calls = scene.seen.by.map((times) => between(times, from, to))
    await cable.close()
    return {
      apart: Math.max(...calls) / Math.min(...calls),
      used: used(scene.seen.times, from, to),
      over: over(scene.seen.times),
    }
  })
}

/** Two busy members, and every two seconds another one in its own container that makes one call and vanishes. */
export function shortLived(ms: number) {
  return onStage(async (scene, { url, port }) => {
    for (let i = 0; i < 2; i++) scene.saturate(await scene.join(llmiter, url))
    await sleep(4000)
    const from = performance.now()
    while (performance.now() - from < ms) {
      const cable = await startCable(port)
      const i = await scene.join(llmiter, cable.url)
      await scene.call(i)
      cable.cut()
      await sleep(2000)
      void cable.close()
    }
    const to = performance.now()
    const workers = scene.seen.by.slice(0, 2).flat()
    return { used: used(workers, from, to), over: over(scene.seen.times) }
  })
}

/** Half of eight members are cut off, for longer than the store reserves their shares. */
export function cutOff(ms: number) {
  return onStage(async (scene, { url, port }) => {
    const cable: Cable = await startCable(port)
    for (let i = 0; i < 8; i++) scene.saturate(await scene.join(llmiter, i < 4 ? url : cable.url))
    await sleep(WINDOW)
    const from = performance.now()
    cable.swallow()
    await sleep(ms)
    const to = performance.now()
    cable.mend()
    await sleep(WINDOW)
    await cable.close()
    return { used: used(scene.seen.times, from, to), over: over(scene.seen.times) }
  })
}

/** Redis is frozen for this long, once a minute. */
export function frozen(ms: number) {
  return onStage(async (scene, server) => {
    for (let i = 0; i < 8; i++) scene.saturate(await scene.join(llmiter, server.url))
    await sleep(8000)
    const from = performance.now()
    server.freeze()
    await sleep(ms)
    server.thaw()
    await sleep(60_000 - ms)
    return { used: used(scene.seen.times, from, performance.now()), over: over(scene.seen.times) }
  })
}

/** Eight members join one after the other at a slow store. */
export function slowJoining(roundTripMs: number) {
  return onStage(async (scene, { port }) => {
    const cable = await startCable(port)
    cable.slow(roundTripMs / 2)
    for (let i = 0; i < 8; i++) {
      scene.saturate(await scene.join(llmiter, cable.url))
      await sleep(3500)
    }
    const from = performance.now()
    await sleep(2 * WINDOW)
    const to = performance.now()
    await cable.close()
    return { used: used(scene.seen.times, from, to), over: over(scene.seen.times) }
  })
}
