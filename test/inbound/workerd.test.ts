// In workerd: no sockets, no Node, timers only within a request.

import { expect, test } from 'vitest'
import { startWorker } from '../runtimes/workerd/harness.ts'

test('a guard at module scope of a worker', async () => {
  const worker = await startWorker(new URL('./worker.ts', import.meta.url), '2026-04-26')
  try {
    const answers = await Promise.all(Array.from({ length: 10 }, () => worker.get('/')))
    expect(answers.filter((answer) => answer === 'hello').length).toBe(3)
    expect(answers.filter((answer) => answer === '429').length).toBe(7)
    expect(worker.output.join('')).toBe('')
  } finally {
    await worker.dispose()
  }
})
