/**
 * How a bench measures on a noisy machine: every contestant in a process of its own, all of them in turns, many
 * rounds, medians at the end.
 *
 * In one process they spoil each other: the code that all go through is compiled for all kinds at once, one's
 * garbage is collected on another's time, and peers seem up to three times slower than they are. In turns, since
 * a slow spell of the machine then hits all alike; for the same reason a ratio is the median of the ratios
 * within a round, not the ratio of two medians. And nobody collects garbage by hand before a turn: a full
 * collection makes V8 forget what it has compiled for classes without a living instance (a core that takes
 * 0.15 µs a ticket then takes 0.6). Each contestant pays for the garbage it makes.
 */
import { fork } from 'node:child_process'

/** Does the work once and returns what it cost. */
export type Turn = () => Promise<number> | number

/** What a module exports as `jobs` for `interleave`: by name, made ready in the contestant's own process. */
export type Jobs = Record<string, (size: number) => Turn | Promise<Turn>>

/** What the turns of each job cost, one number a round. */
export type Costs = Map<string, number[]>

export interface Plan {
  rounds: number
  /** Turns that are not counted, until the code is compiled. Default 3. */
  warmUp?: number
}

/**
 * Runs jobs that a module exports, named `name` or `name@size`, each in its own process, in turns.
 *
 * `module` is the `import.meta.url` of the module with the jobs.
 */
export async function interleave(
  module: string,
  jobs: string[],
  { rounds, warmUp = 3 }: Plan,
): Promise<Costs> {
  const contestants = await Promise.all(jobs.map((job) => enter(module, job)))
  for (let round = -warmUp; round < rounds; round++) {
    for (const { turn, costs } of contestants) {
      const cost = await turn()
      if (round >= 0) costs.push(cost)
    }
  }
  for (const { leave } of contestants) leave()
  return new Map(contestants.map(({ job, costs }) => [job, costs]))
}

async function enter(module: string, job: string) {
  const child = fork(new URL('turn.ts', import.meta.url), [module, job], { serialization: 'advanced' })
  let answered = deferred<number>()
  child.on('message', (cost) => answered.resolve(cost as number))
  child.on('error', (error) => answered.reject(error))
  child.on('exit', (code) => answered.reject(new Error(`${job}: its process ended with code ${code}`)))
  await answered.promise
  const turn = () => {
    answered = deferred()
    child.send('turn')
    return answered.promise
  }
  const leave = () => {
    child.removeAllListeners('exit')
    child.kill()
  }
  return { job, costs: [] as number[], turn, leave }
}

/**
 * A turn that runs twice and counts once: while others had theirs, V8 gave its heap back to the system, and to get
 * it again takes as long as the work.
 */
export const warmed =
  (turn: Turn): Turn =>
  async () => {
    await turn()
    return turn()
  }

/** A promise and the means to settle it. */
export interface Deferred<T> {
  promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T>(): Deferred<T> {
  let settle!: Pick<Deferred<T>, 'resolve' | 'reject'>
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...settle }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The median cost of a job. */
export const cost = (costs: Costs, job: string) => median(costs.get(job)!)

/** The median of `a / b`, round by round. */
export function ratio(costs: Costs, a: string, b: string): number {
  const below = costs.get(b)!
  return median(costs.get(a)!.map((each, round) => each / below[round]!))
}

/** µs that `work` took, for each of `count`. */
export async function microseconds(count: number, work: () => unknown): Promise<number> {
  const start = performance.now()
  await work()
  return ((performance.now() - start) * 1000) / count
}
