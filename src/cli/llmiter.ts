#!/usr/bin/env node
// The command `llmiter`: the first argument selects the command, and only that one is loaded.

import { readFileSync } from 'node:fs'
import { didYouMean } from '../lib/suggest.ts'
import { text } from '../lib/validate.ts'
import { printable } from './usage.ts'

type Command = (args: string[]) => Promise<number>

const COMMANDS: Record<string, { what: string; load: () => Promise<Command> }> = {
  graph: {
    what: 'draws a log as an interactive page or as a picture',
    load: async () => (await import('./graph.ts')).graph,
  },
  watch: {
    what: 'shows what the limiters are doing now, in the terminal',
    load: async () => (await import('./watch.ts')).watch,
  },
  simulate: {
    what: 'predicts how long a job will take, also with other limits',
    load: async () => (await import('./simulate/index.ts')).simulate,
  },
  usage: {
    what: 'reports requests, tokens and cost, by model, tenant, key or day',
    load: async () => (await import('./usage-report.ts')).usage,
  },
  gateway: {
    what: 'forwards calls of any program, at the pace that the providers accept',
    load: async () => (await import('./gateway.ts')).gateway,
  },
  keys: {
    what: 'creates, lists and revokes the keys that programs need for a gateway',
    load: async () => (await import('./keys.ts')).keys,
  },
}

const SYNONYMS = {
  graph: 'plot chart draw',
  watch: 'top monitor tail live',
  simulate: 'sim plan run bench',
  usage: 'cost costs spend tokens stats report bill',
  gateway: 'proxy server serve',
}

const HELP = `usage: llmiter <command> [options]

${Object.entries(COMMANDS)
  .map(([name, { what }]) => `  ${name.padEnd(10)} ${what}`)
  .join('\n')}

llmiter <command> --help lists the options of a command, llmiter --version prints the version.`

/** The file has the same depth below the package root in the build and in the source. */
function version(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

const [name = '--help', ...args] = process.argv.slice(2)
if (Object.hasOwn(COMMANDS, name)) process.exitCode = await (await COMMANDS[name]!.load())(args)
else if (name === '--help' || name === '-h' || name === 'help') console.log(HELP)
else if (name === '--version' || name === '-v' || name === 'version') console.log(version())
else {
  const known = Object.keys(COMMANDS)
  const hint = didYouMean(name, [...known, '--version', '--help'], SYNONYMS)
  console.error(printable(`llmiter: there is no command ${text(name)}${hint}; known: ${known.join(', ')}`))
  process.exitCode = 2
}
