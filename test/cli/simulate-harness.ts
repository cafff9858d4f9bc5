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
