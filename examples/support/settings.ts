/** The settings of the demo: command line options, with defaults that keep it under a minute and free of charge. */
import { parseArgs } from 'node:util'

export interface Settings {
  /** The key of the real API. Without one, calls go to a server on this machine. */
  liveKey?: string
  model: string
  calls: number
  requestsPerMinute: number
  tokensPerMinute: number
}

const usage = `
  npm run demo -- [--calls 400] [--rpm 1200] [--tpm 200000]
  npm run demo -- --live [--model gpt-5-nano] [--calls 10] [--rpm 60] [--tpm 30000]

--live calls the real API with the key in OPENAI_API_KEY. It costs money, and runs every call twice.`

/** Ends the process with a message if the command line is invalid. */
export function readSettings(): Settings {
  try {
    return parse()
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
    return process.exit(2)
  }
}

function parse(): Settings {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const options = { live: flag, help: flag, model: text, calls: text, rpm: text, tpm: text }
  const { values } = parseArgs({ options })
  if (values.help) {
    console.log(usage)
    process.exit(0)
  }
  const live = values.live === true
  const liveKey = live ? process.env['OPENAI_API_KEY'] : undefined
  if (live && !liveKey) throw new Error('--live needs a key in OPENAI_API_KEY, which is not set')
  if (values.model !== undefined && !live) throw new Error('--model goes with --live')
  return {
    ...(liveKey !== undefined && { liveKey }),
    model: values.model ?? (live ? 'gpt-5-nano' : 'gpt-5'),
    calls: wholeNumber('--calls', values.calls ?? (live ? '10' : '400')),
    requestsPerMinute: wholeNumber('--rpm', values.rpm ?? (live ? '60' : '1200')),
    tokensPerMinute: wholeNumber('--tpm', values.tpm ?? (live ? '30000' : '200000')),
  }
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`${name} must be a whole number above 0, got ${text}`)
  return value
}
