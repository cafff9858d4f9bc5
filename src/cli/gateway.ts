// `llmiter gateway`: one queue, one pace and one budget for programs in any language.

import { startGateway, type RunningGateway } from '../gateway/server.ts'
import { optionsFromEnv } from '../gateway/from-env.ts'
import { isLoopback } from '../gateway/incoming.ts'
import type { GatewayOptions } from '../gateway/options.ts'
import { CannotError, command, readOptions, UsageError } from './usage.ts'

const HELP = `usage: OPENAI_API_KEY=… llmiter gateway [options]

Listens on 127.0.0.1 and passes calls on to OpenAI, Anthropic and Gemini, at the pace that they accept. Programs set
its address as their base URL. The keys of the providers come from OPENAI_API_KEY, ANTHROPIC_API_KEY and
GEMINI_API_KEY, other addresses of theirs from OPENAI_BASE_URL, ANTHROPIC_BASE_URL and GOOGLE_GEMINI_BASE_URL.

  --port N                  where it listens (8787)
  --requests-per-minute N   the limit of each key, over all models; default: what the provider tells
  --tokens-per-minute N     the same in tokens
  --max-wait TIME           calls that would wait longer are refused at once
  --drain TIME              how long calls may go on after SIGTERM (30s)`

const OPTIONS = {
  port: { type: 'string' },
  'requests-per-minute': { type: 'string' },
  'tokens-per-minute': { type: 'string' },
  'max-wait': { type: 'string' },
  drain: { type: 'string' },
  help: { type: 'boolean' },
} as const

const SYNONYMS = {
  '--requests-per-minute': 'rpm limit rate',
  '--tokens-per-minute': 'tpm',
  '--max-wait': 'timeout wait',
}

export const gateway = (args: string[]): Promise<number> =>
  command('gateway', async () => {
    const values = readOptions(args, OPTIONS, SYNONYMS)
    if (values.help) {
      console.log(HELP)
      return 0
    }
    const running = await start(optionsOf(values))
    announce(running)
    await untilTold()
    await running.drain()
    return 0
  })

type Values = Record<string, string | boolean | undefined>

function optionsOf(values: Values): GatewayOptions {
  const limits = {
    ...numberOf(values, 'requests-per-minute', 'requestsPerMinute'),
    ...numberOf(values, 'tokens-per-minute', 'tokensPerMinute'),
  }
  const targets = optionsFromEnv(process.env, limits)
  if (targets.length === 0)
    throw new UsageError('no provider has a key: set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY')
  return {
    targets,
    ...numberOf(values, 'port', 'port', 0),
    ...textOf(values, 'max-wait', 'maxWait'),
    ...textOf(values, 'drain', 'drain'),
  } as GatewayOptions
}

function numberOf(values: Values, option: string, name: string, least = Number.MIN_VALUE) {
  const said = values[option]
  if (said === undefined) return {}
  const number = Number(said)
  if (!(number >= least && number < Infinity))
    throw new UsageError(`--${option} must be a number, got '${said}'`)
  return { [name]: number }
}

const textOf = (values: Values, option: string, name: string) =>
  values[option] === undefined ? {} : { [name]: values[option] }

async function start(options: GatewayOptions): Promise<RunningGateway> {
  try {
    const running = await startGateway(options)
    checkNoLoop(options, running)
    return running
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message)
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE')
      throw new CannotError(`port ${options.port ?? 8787} is in use: give another one with --port`)
    if (code === 'EACCES')
      throw new CannotError(`port ${options.port} may not be used: give another one with --port`)
    throw error
  }
}

/** OPENAI_BASE_URL is set for the programs, and the gateway has read it too. */
function checkNoLoop({ targets }: GatewayOptions, { port }: RunningGateway): void {
  for (const { name, baseUrl } of targets) {
    if (baseUrl === undefined) continue
    const { hostname, port: other } = new URL(baseUrl)
    if (isLoopback(hostname.replace(/^\[|\]$/g, '')) && Number(other) === port)
      throw new UsageError(
        `the base URL of ${name} is the gateway itself: unset it for the gateway, and set it for programs`,
      )
  }
}

function announce({ url }: RunningGateway): void {
  console.log(`llmiter gateway listens. Set for your programs:
  OPENAI_BASE_URL=${url}/v1
  ANTHROPIC_BASE_URL=${url}
  GOOGLE_GEMINI_BASE_URL=${url}`)
}

/** A second signal ends the process at once. */
function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    let told = false
    const tell = () => {
      if (told) process.exit(1)
      told = true
      resolve()
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, tell)
  })
}
