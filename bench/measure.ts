/**
 * Measures on a noisy machine: each contestant in its own process, in turns, over many rounds, with medians at the
 * end.
 *
 * In one process, contestants affect each other: shared code is compiled for all kinds of input, garbage of one is
 * collected during the turn of another, and they appear up to three times slower than they are. They take turns,
 * because a slow phase of the machine then affects all of them equally. For the same reason a ratio is the median
 * of the ratios per round, not the ratio of two medians. No garbage collection is forced before a turn: a full
 * collection makes V8 discard compiled code of classes without living instances (a core that takes 0.15 µs per
 * ticket then takes 0.6). Each contestant pays for its own garbage.
 */
import { fork } from 'node:child_process'

/** Does the work once and returns its cost. */
export type Turn = () => Promise<number> | number

/** The type of the `jobs` export for `interleave`: jobs by name, prepared in the contestant's own process. */
export type Jobs = Record<string, (size: number) => Turn | Promise<Turn>>

/** The costs of each job's turns, one number per round. */
export type Costs = Map<string, number[]>

export interface Plan {
  rounds: number
  /**
   * The number of uncounted turns, until the code is compiled.
   * @default 3
   */
  warmUp?: number
}

/**
 * Runs the jobs exported by a module, named `name` or `name@size`, each in its own process, in turns.
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
 * A turn that runs twice and counts once. While others had their turns, V8 returned its heap to the system, and
 * getting it back takes as long as the work itself.
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

/** The median of `a / b` over the rounds. */
export function ratio(costs: Costs, a: string, b: string): number {
  const below = costs.get(b)!
  return median(costs.get(a)!.map((each, round) => each / below[round]!))
}

/** The time in µs that `work` took, divided by `count`. */
export async function microseconds(count: number, work: () => unknown): Promise<number> {
  const start = performance.now()
  await work()
  return ((performance.now() - start) * 1000) / count
}
