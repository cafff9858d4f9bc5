// `llmiter watch`: what the limiters are doing now, from the logs that their programs write.
//
// It looks into the folder four times a second and reads what has been added, so it follows programs that start
// later and files that follow each other, on every file system and with no open file in the way of anybody.

import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Board } from './watch/table.ts'
import { Follower } from './watch/tail.ts'
import { Screen } from './watch/terminal.ts'
import { command, readOptions } from './usage.ts'

const HELP = `usage: llmiter watch [--dir llmiter-logs]

Shows each limiter that writes a log into the folder: the tickets of the last seconds as a rate and as a line of
bars, calls waiting, parked and in flight, the gate, and the last refusal. Ctrl-C ends it. Where the output is no
terminal, a plain line for each second of each limiter.

  --dir FOLDER     where the logs are (llmiter-logs)`

const LOOK_MS = 250

export const watch = (args: string[]): Promise<number> =>
  command('watch', async () => {
    const values = readOptions(
      args,
      { dir: { type: 'string', default: 'llmiter-logs' }, help: { type: 'boolean' } },
      { '--dir': 'folder directory path logs' },
    )
    if (values.help) {
      console.log(HELP)
      return 0
    }
    await show(values.dir)
    return 0
  })

async function show(dir: string): Promise<void> {
  const over = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => over.abort())
  // `llmiter watch | head` ends when nobody reads any more.
  process.stdout.on('error', () => over.abort())
  const follower = new Follower(dir)
  const board = new Board()
  const screen = new Screen(process.stdout)
  try {
    while (!over.signal.aborted) {
      const added = follower.read()
      board.add(added)
      screen.show(board.lines(Date.now(), screen.width), added, `Waiting for logs in ${resolve(dir)}`)
      await sleep(LOOK_MS, undefined, { signal: over.signal }).catch(() => {})
    }
  } finally {
    screen.close()
  }
}
