// `llmiter keys`: manages the keys that a gateway issues to programs.

import { durationMs } from '../lib/duration.ts'
import { text } from '../lib/validate.ts'
import { checkKey, KeyRing, type StoredKey } from '../gateway/key-ring.ts'
import { STATE_FOLDER } from '../gateway/options.ts'
import { command, printable, readOptions, UsageError } from './usage.ts'

const HELP = `usage: llmiter keys add --name NAME [options]
       llmiter keys list
       llmiter keys revoke NAME|ID

Creates, lists and revokes the keys that programs need for a gateway. Once a key exists, the gateway refuses calls
without one. A key is shown only once, because only its hash is stored.

  --name NAME               the owner of the key
  --expires TIME            how long the key is valid, such as 30d
  --requests-per-minute N   the key's own limits
  --tokens-per-minute N
  --usd N                   the key's budget per period
  --tokens N
  --requests N
  --per PERIOD              day, week, month, year or a time such as 5h (day)
  --state FOLDER            the state folder of the gateway (llmiter-gateway)`

const OPTIONS = {
  name: { type: 'string' },
  expires: { type: 'string' },
  'requests-per-minute': { type: 'string' },
  'tokens-per-minute': { type: 'string' },
  usd: { type: 'string' },
  tokens: { type: 'string' },
  requests: { type: 'string' },
  per: { type: 'string' },
  state: { type: 'string', default: STATE_FOLDER },
  help: { type: 'boolean' },
} as const

const ACTIONS = ['add', 'list', 'revoke']
const BUDGETS = ['usd', 'tokens', 'requests'] as const

export const keys = (args: string[]): Promise<number> =>
  command('keys', () => {
    const [action = '--help', ...rest] = args
    const which = action === 'revoke' && rest[0] && !rest[0].startsWith('-') ? rest.shift() : undefined
    const values = readOptions(action.startsWith('-') ? args : rest, OPTIONS)
    if (values.help || action === '--help') {
      console.log(HELP)
      return 0
    }
    if (!ACTIONS.includes(action))
      throw new UsageError(`there is no action ${text(action)}; known: ${ACTIONS.join(', ')}`)
    const ring = new KeyRing(values.state)
    if (action === 'add') add(ring, values)
    else if (action === 'list') list(ring)
    else revoke(ring, which)
    return 0
  })

type Values = Readonly<Record<string, string | boolean | undefined>>

function add(ring: KeyRing, values: Values): void {
  const { name, expires, per = 'day' } = values
  if (typeof name !== 'string' || !name) throw new UsageError('--name is missing: the owner of the key')
  const forMs = expires === undefined ? undefined : durationMs(String(expires))
  if (forMs !== undefined && !(forMs > 0))
    throw new UsageError(`--expires must be a time such as 30d, got ${text(expires)}`)
  const limits = {
    ...numberOf(values, 'requests-per-minute', 'requestsPerMinute'),
    ...numberOf(values, 'tokens-per-minute', 'tokensPerMinute'),
  }
  const budget = Object.assign({}, ...BUDGETS.map((of) => numberOf(values, of, of))) as Record<string, number>
  const more = {
    name,
    ...(forMs !== undefined && { expiresAt: Date.now() + forMs }),
    ...(Object.keys(limits).length > 0 && { limits }),
    ...(Object.keys(budget).length > 0 && { budgets: [{ ...budget, per: String(per) as 'day' }] }),
  }
  try {
    checkKey(more)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const { key, stored } = ring.add(more)
  console.log(key)
  console.error(printable(`The key ${stored.id} of ${name}. It is shown only once: store it now.`))
}

function numberOf(values: Values, option: string, name: string) {
  const said = values[option]
  if (said === undefined) return {}
  const number = Number(said)
  if (!(number > 0 && number < Infinity))
    throw new UsageError(`--${option} must be a number above 0, got ${text(said)}`)
  return { [name]: number }
}

function stateOf({ revokedAt, expiresAt }: StoredKey): string {
  if (revokedAt !== undefined) return `revoked ${day(revokedAt)}`
  if (expiresAt === undefined) return 'valid'
  return expiresAt <= Date.now() ? `expired ${day(expiresAt)}` : `until ${day(expiresAt)}`
}

const day = (at: number) => new Date(at).toISOString().slice(0, 10)

function list(ring: KeyRing): void {
  if (ring.all.length === 0) console.log('There are no keys: the gateway accepts calls without one.')
  for (const key of ring.all) {
    const { id, name, limits, budgets } = key
    const bounds = [limits, ...(budgets ?? [])].flatMap((one) => (one ? [JSON.stringify(one)] : []))
    console.log(printable([id, name, stateOf(key), ...bounds].join('  ')))
  }
}

function revoke(ring: KeyRing, which: string | undefined): void {
  if (which === undefined) throw new UsageError('name the key to revoke, by its id or its name')
  const revoked = ring.revoke(which)
  if (revoked.length === 0) throw new UsageError(`there is no valid key with the id or name ${text(which)}`)
  for (const { id, name } of revoked) console.log(printable(`${id} of ${name} is revoked.`))
}
