// `llmiter gateway`: one queue, one pace and one budget for programs in any language.

import type { BucketRateLimiter } from 'llmiter'
import { findConfig, loadConfig } from '../gateway/config.ts'
import { CONFIG_SCHEMA } from '../gateway/config-schema.ts'
import { isLoopback } from '../gateway/incoming.ts'
import { type GatewayOptions, STATE_FOLDER, timesOf } from '../gateway/options.ts'
import { type RunningGateway, startGateway } from '../gateway/server.ts'
import { CannotError, command, printable, readOptions, UsageError } from './usage.ts'

const HELP = `usage: OPENAI_API_KEY=… llmiter gateway [options]

Listens on 127.0.0.1 and forwards calls to OpenAI, Anthropic and Gemini, at the pace that they accept. Programs set
its address as their base URL. Without a configuration, the keys of the providers come from OPENAI_API_KEY,
ANTHROPIC_API_KEY and GEMINI_API_KEY, and non-default addresses from OPENAI_BASE_URL, ANTHROPIC_BASE_URL and
GOOGLE_GEMINI_BASE_URL. SIGTERM lets running calls finish, SIGHUP reloads the configuration.

  --config FILE             the configuration (default: llmiter.config.json or .ts in this folder, if it exists)
  --check                   checks the configuration and exits
  --schema                  prints the JSON schema of the configuration
  --host ADDRESS            the address to listen on (127.0.0.1); any other one needs keys: llmiter keys add
  --port N                  the port (8787)
  --requests-per-minute N   without a configuration: the limit of each key, over all models
  --tokens-per-minute N     the same in tokens
  --max-wait TIME           refuses calls that would wait longer
  --drain TIME              how long calls may continue after SIGTERM (30s)
  --state FOLDER            the folder of keys, ledger and snapshot (llmiter-gateway)
  --log FOLDER              writes a log of each limiter, for llmiter watch and llmiter graph (default: none)`

const OPTIONS = {
  config: { type: 'string' },
  check: { type: 'boolean' },
  schema: { type: 'boolean' },
  host: { type: 'string' },
  port: { type: 'string' },
  'requests-per-minute': { type: 'string' },
  'tokens-per-minute': { type: 'string' },
  'max-wait': { type: 'string' },
  drain: { type: 'string' },
  state: { type: 'string' },
  log: { type: 'string' },
  help: { type: 'boolean' },
} as const

const SYNONYMS = {
  '--requests-per-minute': 'rpm limit rate',
  '--tokens-per-minute': 'tpm',
  '--max-wait': 'timeout wait',
  '--check': 'validate test dryrun',
  '--host': 'bind address listen',
  '--state': 'dir folder data',
}

type Values = Readonly<Record<string, string | boolean | undefined>>

export const gateway = (args: string[]): Promise<number> =>
  command('gateway', async () => {
    const values = readOptions(args, OPTIONS, SYNONYMS)
    if (values.help || values.schema) {
      console.log(values.help ? HELP : JSON.stringify(CONFIG_SCHEMA, undefined, 2))
      return 0
    }
    const options = await configOf(values)
    if (values.check) {
      console.log(`The configuration is valid: ${options.targets.map(({ name }) => name).join(', ')}.`)
      return 0
    }
    const running = await start(options, values.log)
    announce(running)
    process.on('SIGHUP', () => void reload(running, values))
    await untilTold()
    await running.drain()
    return 0
  })

async function configOf(values: Values): Promise<GatewayOptions> {
  const limits = {
    ...numberOf(values, 'requests-per-minute', 'requestsPerMinute'),
    ...numberOf(values, 'tokens-per-minute', 'tokensPerMinute'),
  }
  const file = (values['config'] as string | undefined) ?? findConfig(process.cwd())
  const config = await loadConfig(file, process.env, limits).catch(asUsage)
  if (config.targets.length === 0)
    throw new UsageError(
      'no provider has a key: set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY, or write llmiter.config.json',
    )
  const port = numberOf(values, 'port', 'port', 0)
  if ('port' in port && !(Number.isInteger(port.port) && port.port! <= 65_535))
    throw new UsageError(`--port must be a whole number from 0 to 65535, got '${String(values['port'])}'`)
  const options = {
    state: STATE_FOLDER,
    ...config,
    ...port,
    ...textOf(values, 'host', 'host'),
    ...textOf(values, 'max-wait', 'maxWait'),
    ...textOf(values, 'drain', 'drain'),
    ...textOf(values, 'state', 'state'),
  }
  try {
    timesOf(options)
  } catch (error) {
    asUsage(error)
  }
  return options
}

/** Invalid options are usage errors. */
function asUsage(error: unknown): never {
  throw error instanceof TypeError ? new UsageError(error.message) : error
}

function numberOf(values: Values, option: string, name: string, least = Number.MIN_VALUE) {
  const said = values[option]
  if (said === undefined) return {}
  const number = Number(said)
  if (!(number >= least && number < Infinity))
    throw new UsageError(`--${option} must be a number, got '${String(said)}'`)
  return { [name]: number }
}

const textOf = (values: Values, option: string, name: string) =>
  values[option] === undefined ? {} : { [name]: values[option] }

async function start(options: GatewayOptions, dir: string | undefined): Promise<RunningGateway> {
  const hooks = dir === undefined ? {} : await logsIn(dir)
  try {
    const running = await startGateway(options, hooks)
    checkNoLoop(options, running)
    return running
  } catch (error) {
    if (error instanceof TypeError) asUsage(error)
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE')
      throw new CannotError(`port ${options.port ?? 8787} is in use: choose another one with --port`)
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL')
      throw new CannotError(
        `it cannot listen on ${options.host ?? '127.0.0.1'}:${options.port ?? 8787} (${code})`,
      )
    throw error
  }
}

async function logsIn(dir: string) {
  const { logTo } = await import('../telemetry/log.ts')
  return { limiter: (limiter: BucketRateLimiter) => void logTo(limiter, { dir }) }
}

/** The gateway has also read OPENAI_BASE_URL, which was set for the programs. */
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

/** Reloads the configuration. A faulty configuration changes nothing. */
async function reload({ gateway: running }: RunningGateway, values: Values): Promise<void> {
  try {
    running.reload(await configOf(values))
    console.log('The configuration has been reloaded.')
  } catch (error) {
    console.error(
      printable(`llmiter gateway: the configuration was not changed: ${(error as Error).message}`),
    )
  }
}

function announce({ url }: RunningGateway): void {
  console.log(`llmiter gateway listens. Set for your programs:
  OPENAI_BASE_URL=${url}/v1
  ANTHROPIC_BASE_URL=${url}
  GOOGLE_GEMINI_BASE_URL=${url}`)
}

/** A second signal ends the process immediately. */
function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    let told = false
    const tell = () => {
      if (told) process.exit(1)
      told = true
      clearInterval(orphaned)
      resolve()
    }
    // npx exits on a signal without forwarding it, so its exit counts as the signal.
    const parent = process.ppid
    const look = () => process.ppid !== parent && tell()
    const orphaned = process.env['npm_command'] === 'exec' ? setInterval(look, 500).unref() : undefined
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, tell)
  })
}
