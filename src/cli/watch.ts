// `llmiter watch`: shows what the limiters are doing now, from the logs that their programs write.
//
// It polls the folder four times a second and reads what was added. So it follows programs that start later and
// files that are rotated, works on every file system, and keeps no file open.

import { resolve } from 'node:path'
import { emitKeypressEvents } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Key, View } from './watch/keys.ts'
import { Board } from './watch/table.ts'
import { Follower } from './watch/tail.ts'
import { Screen } from './watch/terminal.ts'
import { cut } from './watch/text.ts'
import { command, readOptions } from './usage.ts'

const HELP = `usage: llmiter watch [--dir llmiter-logs]

Shows each limiter that writes a log into the folder: its rate in the last seconds and its current limit, calls
waiting, the 95th percentile of their waits, when the queue will be empty (ETA), the gate, the last refusal, what calls
wait for, and the tickets of the last minute as bars. A program that stopped writing with unfinished calls is shown as
silent. If the output is not a terminal, it is one plain line per second and limiter.

Keys: n r w p e g l y sort by limiter, rate, waiting, p95, ETA, gate, last refusal and why; the same key again reverses
the order; / filters by name or reason; q or Ctrl-C quits.

  --dir FOLDER     where the logs are (llmiter-logs)`

const LOOK_MS = 250
const NEWER = 'A newer version of llmiter writes into this folder: update to see all'

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
  // `llmiter watch | head` ends when the pipe closes.
  process.stdout.on('error', () => over.abort())
  const follower = new Follower(dir)
  const board = new Board()
  const screen = new Screen(process.stdout)
  const view = new View()
  const waiting = `Waiting for logs in ${resolve(dir)}`
  const keys = screen.live ? readKeys(process.stdin, view, over) : undefined
  try {
    while (!over.signal.aborted) {
      const added = follower.read()
      board.add(added)
      const { width, height, paint } = screen
      const hint = follower.newer ? NEWER : undefined
      const others = [keys, hint].filter(Boolean).length
      const table = board.lines(Date.now(), { width, height: height - others, view, paint })
      const footer = keys && table.length > 0 ? [paint(cut(view.footer, width), 'dim')] : []
      screen.show([...table, ...footer], added, hint ?? (table.length === 0 ? waiting : undefined))
      const slept = sleep(LOOK_MS, undefined, { signal: over.signal }).catch(() => {})
      await (keys ? Promise.race([slept, keys.pressed()]) : slept)
    }
  } finally {
    keys?.close()
    screen.close()
  }
}

/** In a terminal, each key is reported immediately. */
function readKeys(input: typeof process.stdin, view: View, over: AbortController) {
  if (!input.isTTY) return undefined
  let wake = () => {}
  const press = (_: unknown, key: Key) => {
    if (view.press(key)) over.abort()
    wake()
  }
  emitKeypressEvents(input)
  input.setRawMode(true)
  input.on('keypress', press)
  input.resume()
  return {
    pressed: () => new Promise<void>((resolve) => (wake = resolve)),
    close() {
      input.off('keypress', press)
      input.setRawMode(false)
      input.pause()
    },
  }
}
