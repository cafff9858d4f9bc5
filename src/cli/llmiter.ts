#!/usr/bin/env node
// The command `llmiter`: the first word says which, and only that one is loaded.

type Command = (args: string[]) => Promise<number>

const COMMANDS: Record<string, { what: string; load: () => Promise<Command> }> = {
  graph: {
    what: 'draws a log: a page to look into, or a picture',
    load: async () => (await import('./graph.ts')).graph,
  },
  watch: {
    what: 'shows what the limiters are doing now, in the terminal',
    load: async () => (await import('./watch.ts')).watch,
  },
  simulate: {
    what: 'tells how long a job will take, and what if the limits were others',
    load: async () => (await import('./simulate/index.ts')).simulate,
  },
}

const HELP = `usage: llmiter <command> [options]

${Object.entries(COMMANDS)
  .map(([name, { what }]) => `  ${name.padEnd(10)} ${what}`)
  .join('\n')}

llmiter <command> --help tells its options.`

const [name = '--help', ...args] = process.argv.slice(2)
if (Object.hasOwn(COMMANDS, name)) process.exitCode = await (await COMMANDS[name]!.load())(args)
else if (name === '--help' || name === '-h' || name === 'help') console.log(HELP)
else {
  console.error(`llmiter: there is no command '${name}'; known: ${Object.keys(COMMANDS).join(', ')}`)
  process.exitCode = 2
}
