// A pool: one queue in front of several limiters. The strategy decides which targets may answer a call, and the
// call takes the first ticket of any of them. This file is what users hold; call-flow.ts follows a call.

import type { Clock } from 'llmiter'
import { callable, choice } from '../lib/validate.ts'
import { CallFlow } from './call-flow.ts'
import { RequestBundler, type BatchedCall, type BatchedOptions } from './batched.ts'
import { parsePool, type PoolOptions } from './options.ts'
import { checkSnapshot, type PoolSnapshot } from './pool-snapshot.ts'
import { NO_OPTIONS, type PoolCall } from './pool-call.ts'
import type { PoolEvents, PoolStats } from './pool-events.ts'
import { indexOf, type PoolTarget } from './pool-target.ts'
import { Sharing } from './sharing.ts'
import type { Spending } from './spending.ts'
import { TargetHealth, type TargetState } from './target.ts'

/** Several targets behind one queue. Created by `createPool`. */
export class Pool<T extends PoolTarget = PoolTarget> {
  /** The targets as they were given. */
  readonly targets: readonly T[]
  readonly #health: readonly TargetHealth[]
  readonly #clock: Clock
  readonly #flow: CallFlow
  readonly #states: TargetState['state'][]
  readonly #listeners = new Map<keyof PoolEvents, Set<(event: never) => void>>()
  readonly #spending: Spending | undefined
  #sharing: Sharing | undefined

  constructor(options: PoolOptions<T>) {
    const rules = parsePool(options)
    const { targets } = options
    this.targets = targets
    this.#clock = targets[0]!.limiter.clock
    if (targets.some(({ limiter }) => limiter.clock !== this.#clock))
      throw new TypeError('targets: all limiters must have the same clock')
    this.#health = targets.map((target, i) => new TargetHealth(target, rules.breakers[i], this.#clock))
    this.#states = targets.map(() => 'ready')
    this.#spending = rules.spending
    if (this.#spending)
      this.#spending.budgets.failed = (error) =>
        void this.targets[0]!.limiter.report(error, 'store of budgets')
    this.#sharing = rules.sharing?.(this.#clock)
    const told = (index: number) => this.#tell(index)
    this.#flow = new CallFlow(targets, this.#health, rules, this.#clock, told, (event) =>
      this.#emit('fallback', event),
    )
    for (const [i, { limiter }] of targets.entries()) limiter.on('gate', () => told(i))
  }

  /**
   * Runs `fn` with the first target that has room for it, and resolves with its result. After a refusal, the call
   * keeps its place and takes the first target that becomes free. After a failure of the target, it goes to the
   * next target. Any other error is thrown unchanged.
   *
   * @throws NoTargetError, WaitTimeoutError, LimiterStoppedError, BudgetExceededError, UnknownPriceError, or the
   * last error of `fn`.
   */
  run<R>(
    fn: (target: T, signal: AbortSignal | undefined) => R,
    call: PoolCall = NO_OPTIONS,
  ): Promise<Awaited<R>> {
    const flow = this.#flow
    const answer = this.#sharing ? this.#sharing.run(call, () => flow.send(fn, call)) : flow.send(fn, call)
    return answer as Promise<Awaited<R>>
  }

  /**
   * Returns a function whose calls share requests, up to the size that the provider accepts. For embeddings. `fn`
   * sends one request with the inputs of several calls. Each caller gets the results of its own inputs and its
   * share of the usage. Calls share a request if everything except their inputs is equal. A request that is
   * refused because of its content is halved until only the inputs at fault get the error.
   *
   * @example
   * const embed = pool.batched(({ client }, request: OpenAI.EmbeddingCreateParams, signal) =>
   *   client.embeddings.create(request, { signal }),
   * )
   * const { data } = await embed({ model: 'text-embedding-3-small', input: 'a text' })
   *
   * @throws TypeError when an option is wrong. The calls reject like those of `run`.
   */
  batched<Q extends object, A>(
    fn: (target: T, request: Q, signal: AbortSignal | undefined) => A,
    options: BatchedOptions = {},
  ): (request: Q, call?: BatchedCall) => Promise<Awaited<A>> {
    const sharing = (this.#sharing ??= new Sharing(false, undefined, this.#clock))
    const bundler = new RequestBundler(
      {
        clock: this.#clock,
        stats: sharing,
        run: (work, call) => this.#flow.send(work, call),
        isOversize: (error) => this.#flow.oversize.has(Object(error) as object),
        leaveTickets: (call) => this.#flow.around.leave(call),
      },
      fn,
      options,
    )
    return (request, call = {}) => {
      const answer = sharing.run({ ...call, request }, async () => bundler.ask(request, call))
      return answer as Promise<Awaited<A>>
    }
  }

  /**
   * An estimate of how long a call would wait for its ticket, in ms, at the target that has room first. `Infinity`
   * while no target that may answer it accepts calls.
   *
   * @throws NoTargetError, TypeError
   */
  waitTime(call: PoolCall = NO_OPTIONS): number {
    const now = this.#clock.now()
    const waits = this.#flow.targetsFor(call).map((index) => this.#flow.queue.estimate(index, call, now))
    return Math.max(0, Math.min(...waits))
  }

  /** The statistics of the pool: a copy. */
  stats(): PoolStats {
    const now = this.#clock.now()
    return {
      waiting: this.#flow.queue.size,
      rejected: this.#flow.rejected,
      sharing: this.#sharing?.stats,
      budgets: this.#spending?.budgets.stats(this.#clock.wall()) ?? [],
      targets: this.#health.map((health) => {
        const { target, inFlight, sent, answered, failed, refused } = health
        return { name: target.name, state: health.state(now), inFlight, sent, answered, failed, refused }
      }),
    }
  }

  /** Listens to an event. Returns a function that removes the listener. */
  on<E extends keyof PoolEvents>(event: E, listener: (event: PoolEvents[E]) => void): () => void {
    choice(event, 'event', ['state', 'fallback'])
    callable(listener, 'listener')
    const set = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, set)
    set.add(listener)
    return () => set.delete(listener)
  }

  /** Sends no new calls to this target until `resume(name)`. */
  pause(name: string): void {
    this.#change(name, (health) => (health.paused = true))
  }

  /** Ends `pause(name)`. */
  resume(name: string): void {
    this.#change(name, (health) => (health.paused = false))
  }

  /** Lets the next call try this target, whatever it was put aside for. */
  retry(name: string): void {
    this.#change(name, (health, now) => health.retry(now))
  }

  /** Rejects all waiting calls and every later call. Calls in flight finish, and the limiters are not stopped. */
  stop(reason?: unknown): void {
    this.#flow.stop(reason)
  }

  /** The state of the targets and what their limiters have counted and learned, as plain JSON. */
  snapshot(): PoolSnapshot {
    const now = this.#clock.now()
    const targets = this.#health.map((health) => [health.target.name, health.snapshot(now)] as const)
    const wall = this.#clock.wall()
    const budgets = this.#spending?.budgets.snapshot(wall)
    return { version: 1, wall, targets: Object.fromEntries(targets), ...(budgets && { budgets }) }
  }

  /**
   * Restores a snapshot. Targets missing from the snapshot, and targets that no longer exist, are ignored.
   *
   * @throws TypeError when it is not a snapshot.
   */
  restore(saved: PoolSnapshot): void {
    checkSnapshot(saved)
    const now = this.#clock.now()
    const ageMs = Math.max(0, this.#clock.wall() - saved.wall)
    if (saved.budgets) this.#spending?.budgets.restore(saved.budgets, this.#clock.wall())
    for (const [i, health] of this.#health.entries()) {
      const found = saved.targets[health.target.name]
      if (found) health.restore(found, ageMs, now)
      this.#flow.queue.review(i)
    }
  }

  #change(name: string, change: (health: TargetHealth, now: number) => void): void {
    const index = indexOf(this.targets, name)
    change(this.#health[index]!, this.#clock.now())
    this.#flow.queue.review(index)
  }

  #tell(index: number): void {
    if (!this.#listeners.has('state')) return
    const health = this.#health[index]!
    const state = health.state(this.#clock.now())
    if (state.state === this.#states[index]) return
    this.#states[index] = state.state
    this.#emit('state', { target: health.target.name, state })
  }

  #emit<E extends keyof PoolEvents>(name: E, event: PoolEvents[E]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        ;(listener as (event: PoolEvents[E]) => void)(event)
      } catch (error) {
        this.targets[0]!.limiter.report(error, `listener of the pool's '${name}'`)
      }
    }
  }
}

/** Creates a pool: one queue in front of several limiters. */
export function createPool<T extends PoolTarget>(options: PoolOptions<T>): Pool<T> {
  return new Pool(options)
}
