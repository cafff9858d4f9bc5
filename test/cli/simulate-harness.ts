// How the stories of the simulator talk to it: as the command line does, with what it said in hand.

import { simulated } from '../../src/cli/simulate/index.ts'
import type { Report, Row } from '../../src/cli/simulate/report.ts'

/** Words of a command line; what is in quotes stays together. */
const words = (line: string) =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word!)

/** What it prints. */
export async function said(line: string): Promise<string> {
  let out = ''
  await simulated(words(line), (text) => (out += `${text}\n`))
  return out
}

export async function report(line: string): Promise<Report> {
  return JSON.parse(await said(`${line} --json`)) as Report
}

/** The rows of a client, one a tier. */
export async function rows(line: string, client = 'llmiter'): Promise<Row[]> {
  return (await report(line)).rows.filter((row) => row.client === client)
}

export async function row(line: string, client?: string): Promise<Row> {
  return (await rows(line, client))[0]!
}

/** Every call takes the same, and nothing on the way: what is left is the law. */
export const PLAIN = '--spread 0 --latency 0ms --jitter 0ms'

/** Each kind of provider, with limits that a backlog of 1,200 calls meets, and the least goodput there, in percent. */
export const PROVIDERS: [provider: string, flags: string, least: number][] = [
  ['token-bucket', '--rpm 600 --itpm 800k --otpm 300k', 40],
  ['fixed-window', '--rpm 600 --tpm 1M --max-tokens 500', 55],
  ['short-quantum', '--rpm 600 --window 10s', 80],
  ['sliding-log', '--rpm 600', 50],
  ['leaky-bucket', '--tpm 800k --max-tokens 600', 50],
  ['burndown', '--rpm 600 --tpm 1500k --max-tokens 600 --burndown 5', 43],
  ['acceleration', '--rpm 600 --floor 300', 45],
  ['step-change', '--rpm 600 --steps 30s:0.5,2m:1', 53],
  ['outage', '--rpm 600', 65],
  ['noise', '--rpm 600', 40],
  // A strict limiter refuses who is early: even spacing gets at most 71 % of it in where calls drift by 50 ms on their
  // way (the best is one call in 130 ms), and all of it where they drift by 1 ms.
  ['nginx', '--rpm 600 --jitter 50ms', 40],
  ['nginx', '--rpm 600 --jitter 1ms', 85],
  ['wrong-wait', '--rpm 600', 40],
  ['neighbour', '--rpm 600', 40],
  ['concurrency', '--max-concurrent 25', 90],
]
