// Preloaded into each contestant: when it gets SIGUSR2, it collects its garbage, and writes down what is left. What a
// process holds by the system's count is no measure here, since a heap that calls have grown before takes streams for nothing.

import { renameSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

process.on('SIGUSR2', () => {
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  const file = process.env['LIVE_MEMORY']!
  writeFileSync(`${file}.new`, String(heapUsed + external))
  renameSync(`${file}.new`, file)
})
