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
describe.each(['2024-01-01', '2026-04-26'])('a limiter at module scope, compatibility date %s', (date) => {
  let worker: Worker
  beforeAll(async () => {
    worker = await startWorker(new URL('./worker.ts', import.meta.url), date)
  })
  afterAll(() => worker.dispose())

  test('serves all concurrent requests, while others leave in line and in flight', async () => {
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        i % 4 === 1 ? worker.get(`/?id=${i}`, 60 + 60 * i) : worker.get(`/?id=${i}`),
      ),
    )
    for (const [i, answer] of answers.entries()) {
      if (i % 4 === 1) expect(['cancelled', `${i}`]).toContain(answer)
      else expect(answer).toBe(`${i}`)
    }
  })

  test('gives back the slots of those who left in flight', async () => {
    // Held to their end, the slots would not be free before the test is over.
    await Promise.all([0, 1].map((i) => worker.get(`/?id=gone${i}&ms=600000`, 300)))
    expect(await worker.get('/?id=next')).toBe('next')
  })

  test('parks refused calls and recovers', async () => {
    await worker.get('/refuse')
    const answers = await Promise.all([0, 1, 2, 3].map((i) => worker.get(`/?id=r${i}`)))
    expect(answers).toEqual(['r0', 'r1', 'r2', 'r3'])
    const { waiting, inFlight, refused } = await stats(worker)
    expect({ waiting, inFlight }).toEqual({ waiting: 0, inFlight: 0 })
    expect(refused).toBeGreaterThan(0)
  })

  test('tries a failed call again, alone and with others in the queue', async () => {
    expect(await worker.get('/retry')).toBe('ok')
    const answers = await Promise.all(
      ['/?id=r4', '/retry', '/?id=r5', '/retry', '/?id=r6'].map((path) => worker.get(path)),
    )
    expect(answers).toEqual(['r4', 'ok', 'r5', 'ok', 'r6'])
  })

  test("runs 'llmiter/testing', without a flag for Node's modules", async () => {
    expect(await worker.get('/testing')).toBe('admitted,admitted,admitted')
  })

  test("runs 'llmiter/fetch', on its own streams", async () => {
    expect(await worker.get('/fetch')).toBe('ok')
  })

  test('workerd has nothing to complain of', () => {
    expect(worker.output.join('')).toBe('')
  })
})
