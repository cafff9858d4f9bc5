// In workerd timers and promises belong to requests: real time and a real workerd are the only test.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startWorker, type Worker } from './harness.ts'

const stats = async (worker: Worker) =>
  JSON.parse(await worker.get('/stats')) as {
    waiting: number
    inFlight: number
    served: number
    refused: number
  }

/** Promises may be resolved from another request since 2024-10-14; the limiter must not care. */
const DATES = ['2024-01-01', '2026-04-26']

// Each date has its own worker. Most of a test is waiting, so all get the same requests at the same time.
describe('a limiter at module scope, whatever the compatibility date', () => {
  let workers: Worker[]
  beforeAll(async () => {
    const entry = new URL('./worker.ts', import.meta.url)
    workers = await Promise.all(DATES.map((date) => startWorker(entry, date)))
  })
  afterAll(() => Promise.all(workers.map((worker) => worker.dispose())))

  /** What the worker of each date answers. */
  const each = <T>(ask: (worker: Worker) => Promise<T>): Promise<T[]> => Promise.all(workers.map(ask))
  const both = <T>(answer: T): T[] => DATES.map(() => answer)

  test('serves all concurrent requests, while others leave in line and in flight', async () => {
    const ids = Array.from({ length: 24 }, (_, i) => i)
    const leaves = (i: number) => i % 4 === 1
    const all = await each((worker) =>
      Promise.all(ids.map((i) => worker.get(`/?id=${i}`, leaves(i) ? 60 + 60 * i : undefined))),
    )
    for (const answers of all)
      for (const [i, answer] of answers.entries()) {
        if (leaves(i)) expect(['cancelled', `${i}`]).toContain(answer)
        else expect(answer).toBe(`${i}`)
      }
  })

  test('gives back the slots of those who left in flight', async () => {
    const next = await each(async (worker) => {
      // Held to their end, the slots would not be free before the test is over.
      await Promise.all([0, 1].map((i) => worker.get(`/?id=gone${i}&ms=600000`, 300)))
      return worker.get('/?id=next')
    })
    expect(next).toEqual(both('next'))
  })

  test('parks refused calls and recovers', async () => {
    const all = await each(async (worker) => {
      await worker.get('/refuse')
      const answers = await Promise.all([0, 1, 2, 3].map((i) => worker.get(`/?id=r${i}`)))
      return { answers, ...(await stats(worker)) }
    })
    for (const { answers, waiting, inFlight, refused } of all) {
      expect(answers).toEqual(['r0', 'r1', 'r2', 'r3'])
      expect({ waiting, inFlight }).toEqual({ waiting: 0, inFlight: 0 })
      expect(refused).toBeGreaterThan(0)
    }
  })

  test('tries a failed call again, alone and with others in the queue', async () => {
    expect(await each((worker) => worker.get('/retry'))).toEqual(both('ok'))
    const paths = ['/?id=r4', '/retry', '/?id=r5', '/retry', '/?id=r6']
    expect(await each((worker) => Promise.all(paths.map((path) => worker.get(path))))).toEqual(
      both(['r4', 'ok', 'r5', 'ok', 'r6']),
    )
  })

  test("runs 'llmiter/testing', without a flag for Node's modules", async () => {
    expect(await each((worker) => worker.get('/testing'))).toEqual(both('admitted,admitted,admitted'))
  })

  test("runs 'llmiter/fetch', on its own streams", async () => {
    expect(await each((worker) => worker.get('/fetch'))).toEqual(both('ok'))
  })

  test('workerd has nothing to complain of', () => {
    expect(workers.map(({ output }) => output.join(''))).toEqual(both(''))
  })
})
