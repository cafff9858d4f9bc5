/**
 * The demo's output: one line that is rewritten while calls run, and a table at the end. If the output is not a
 * terminal, it prints a line now and then. No colours if NO_COLOR is set.
 */
import type { CrowdResult } from './crowd.ts'

const { stdout } = process
const coloured = stdout.isTTY && !process.env['NO_COLOR']
const green = (text: string) => (coloured ? `\x1b[32m${text}\x1b[0m` : text)
const red = (text: string) => (coloured ? `\x1b[31m${text}\x1b[0m` : text)

/** Prints `look()` repeatedly, until the returned function is called. */
export function showProgress(look: () => CrowdResult): () => void {
  const draw = stdout.isTTY
    ? () => stdout.write(`\r\x1b[2K${progressLine(look(), stdout.columns)}`)
    : () => stdout.write(`${progressLine(look())}\n`)
  const timer = setInterval(draw, stdout.isTTY ? 100 : 5000)
  return () => {
    clearInterval(timer)
    draw()
    if (stdout.isTTY) stdout.write('\n')
  }
}

/** How many calls must have ended before the remaining time can be estimated. */
const ENOUGH = 5

/** The parts that fit, the most important last. A line that wraps could not be rewritten. */
export function progressLine(result: CrowdResult, columns = Infinity): string {
  const { name, calls, finished, refused, lost, elapsedMs } = result
  const over = finished + lost
  const left =
    over >= ENOUGH && over < calls ? [`${Math.ceil((elapsedMs * (calls - over)) / over / 1000)} s left`] : []
  const counts = [
    `${pad(finished, String(calls).length)}/${calls}`,
    `${pad(refused, 4)} refused`,
    `${pad(lost, 3)} lost`,
  ]
  const elapsed = seconds(elapsedMs)
  const all = [...counts, elapsed, ...left].join('  ')
  const width = Math.min(30, columns - all.length - 17)
  if (stdout.isTTY && columns < Infinity && width > 5)
    return `${name.padEnd(12)}  ${progressBar(width, finished / calls, lost / calls)}  ${all}`
  const short = [...counts, left[0] ?? elapsed].join('  ')
  const fitting = [`${name}  ${all}`, `${name}  ${short}`, short].find((text) => text.length < columns)
  return fitting ?? short.replaceAll(/ +/g, ' ').slice(0, Math.max(0, columns - 1))
}

function progressBar(width: number, finished: number, lost: number): string {
  const done = Math.round(width * finished)
  const gone = Math.round(width * (finished + lost)) - done
  return green('█'.repeat(done)) + red('▒'.repeat(gone)) + '░'.repeat(width - done - gone)
}

/** Columns that do not fit into the terminal are left out, starting with the last. */
export function printTable(results: CrowdResult[], columns = stdout.isTTY ? stdout.columns : Infinity): void {
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
  let shown = head.length
  const used = () => widths.slice(0, shown).reduce((sum, width) => sum + width + 2, -2)
  while (shown > 2 && used() > columns) shown--
  const line = (cells: string[]) =>
    cells
      .slice(0, shown)
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : pad(cell, widths[i]!)))
      .join('  ')
  console.log(`\n${line(head)}\n${rows.map(line).join('\n')}\n`)
  console.log(
    wrapped(
      'lost: the call failed for good. wait: from the call to its answer, of those that finished.',
      columns,
    ),
  )
  for (const { name, firstError } of results) {
    if (firstError !== undefined)
      console.log(red(wrapped(`The first call lost by "${name}" said: ${firstError}`, columns)))
  }
}

/** Lines that fit into the terminal, cut between words. */
export function wrapped(text: string, columns = stdout.isTTY ? stdout.columns : Infinity): string {
  return text
    .split('\n')
    .map((line) => {
      const lines = ['']
      for (const word of line.split(' ')) {
        const longer = lines.at(-1) === '' ? word : `${lines.at(-1)} ${word}`
        if (lines.at(-1) !== '' && longer.length > columns) lines.push(word)
        else lines[lines.length - 1] = longer
      }
      return lines.join('\n')
    })
    .join('\n')
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
