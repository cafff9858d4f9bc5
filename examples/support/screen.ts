/**
 * Decides how the demo looks: one line that is rewritten while a crowd runs, and a table at the end. Where the
 * output is not a terminal, a plain line now and then; no colours where NO_COLOR asks for none.
 */
import type { CrowdResult } from './crowd.ts'

const { stdout } = process
const coloured = stdout.isTTY && !process.env['NO_COLOR']
const green = (text: string) => (coloured ? `\x1b[32m${text}\x1b[0m` : text)
const red = (text: string) => (coloured ? `\x1b[31m${text}\x1b[0m` : text)

/** Shows `look()` again and again, until the function that it returns is called. */
export function showProgress(look: () => CrowdResult): () => void {
  const draw = stdout.isTTY
    ? () => stdout.write(`\r\x1b[2K${progressLine(look())}`)
    : () => stdout.write(`${progressLine(look())}\n`)
  const timer = setInterval(draw, stdout.isTTY ? 100 : 5000)
  return () => {
    clearInterval(timer)
    draw()
    if (stdout.isTTY) stdout.write('\n')
  }
}

function progressLine(result: CrowdResult): string {
  const { name, calls, finished, refused, lost, elapsedMs } = result
  const text =
    `finished ${pad(finished, 4)}  refused ${pad(refused, 5)}  lost ${pad(lost, 4)}  ` +
    pad(seconds(elapsedMs), 6)
  const width = Math.min(30, stdout.columns - name.length - text.length - 6)
  const bar = stdout.isTTY && width > 5 ? `${progressBar(width, finished / calls, lost / calls)}  ` : ''
  return `${name.padEnd(12)}  ${bar}${text}`
}

function progressBar(width: number, finished: number, lost: number): string {
  const done = Math.round(width * finished)
  const gone = Math.round(width * (finished + lost)) - done
  return green('█'.repeat(done)) + red('▒'.repeat(gone)) + '░'.repeat(width - done - gone)
}

export function printTable(results: CrowdResult[]): void {
  const head = ['', 'finished', 'lost', 'refusals', 'time', 'wait p50', 'p95', 'p99']
  const rows = results.map((result) => [
    result.name,
    String(result.finished),
    String(result.lost),
    String(result.refused),
    seconds(result.elapsedMs),
    ...[0.5, 0.95, 0.99].map((share) => quantile(result.waitsMs, share)),
  ])
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)))
  const line = (cells: string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : pad(cell, widths[i]!))).join('  ')
  console.log(`\n${line(head)}\n${rows.map(line).join('\n')}\n`)
  console.log('lost: the call failed for good. wait: from the call to its answer, of those that finished.')
  for (const { name, firstError } of results) {
    if (firstError !== undefined) console.log(`The first call lost by "${name}" said: ${red(firstError)}`)
  }
}

function quantile(ascending: number[], share: number): string {
  const value = ascending[Math.ceil(share * ascending.length) - 1]
  return value === undefined ? '-' : seconds(value)
}

function pad(value: number | string, width: number): string {
  return String(value).padStart(width)
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
