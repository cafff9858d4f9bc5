// Preloaded into each contestant: on SIGUSR2 it collects garbage and writes the remaining size to a file. The
// system's figure for a process is not suitable, because a heap that grew for earlier calls can hold streams
// without growing.

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
