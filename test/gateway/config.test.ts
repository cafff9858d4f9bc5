// The configuration: what is wrong with it is named by its path, and a new one takes over without losing a call.

import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test, vi } from 'vitest'
import { configTable, tableInPage } from '../../docs/gateway.ts'
import { loadConfig } from '../../src/gateway/config.ts'
import { KeyRing } from '../../src/gateway/key-ring.ts'
import { ask, type Rig, startProgram, rigForTest } from './rig.ts'

let rig: Rig
let dir: string
beforeEach(async () => void ({ rig, state: dir } = await rigForTest()))

const env = { KEY: 'sk-of-the-provider', ODD: 'sk-of\nsomebody', BLANK: ' \n' }
const target = { name: 'first', protocol: 'openai', apiKey: 'env:KEY' }
const write = (config: unknown, name = 'llmiter.config.json') => {
  const file = join(dir, name)
  writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config))
  return file
}

test.each<[config: unknown, message: string | RegExp]>([
  [{ target: [] }, "target is not known (did you mean 'targets'?); known: $schema, host, port, targets,"],
  [{ targets: [] }, 'targets must be a list of at least 1, got an array of 0'],
  [
    { targets: [{ ...target, protocol: 'openia' }] },
    "targets[0].protocol must be 'openai', 'anthropic' or 'gemini', got 'openia'",
  ],
  [{ targets: [{ name: 'first', protocol: 'openai' }] }, 'targets[0].apiKey is missing'],
  [{ targets: [{ ...target, apiKey: 'sk-123' }] }, "targets[0].apiKey must be 'env:NAME' or 'file:PATH'"],
  [
    { targets: [{ ...target, apiKey: 'env:OTHER' }] },
    'targets[0].apiKey: the environment variable OTHER is not set',
  ],
  [{ targets: [{ ...target, apiKey: 'file:none' }] }, 'targets[0].apiKey: there is no file '],
  [
    { targets: [{ ...target, limits: { requestsPerMinut: 5 } }] },
    "targets[0].limits.requestsPerMinut is not known (did you mean 'requestsPerMinute'?)",
  ],
  [
    { targets: [{ ...target, limits: { requestsPerMinute: 0 } }] },
    'targets[0].limits.requestsPerMinute must be a number above 0, got 0',
  ],
  [
    { targets: [{ ...target, models: { 'gpt-5': { burst: 0.5 } } }] },
    'targets[0].models["gpt-5"].burst must be a whole number of at least 1, got 0.5',
  ],
  [{ targets: [{ ...target, limits: {} }] }, "targets[0]: 'first' has no limit"],
  [
    { targets: [{ ...target, baseUrl: 'ftp://x' }] },
    'targets[0].baseUrl must be a URL that begins with https:// or http://',
  ],
  [{ targets: [target, target] }, "targets[1].name must be unique, 'first' occurs twice"],
  [
    { targets: [target], maxWait: 'soon' },
    "maxWait must be a number above 0, or a time such as '500ms', '30s' or '5m', got 'soon'",
  ],
  [
    { targets: [target], budgets: [{ usd: 5, per: 'fortnight' }] },
    "budgets[0].per must be 'day', 'week', 'month' or 'year', or a number above 0",
  ],
  [{ targets: [target], budgets: [{ per: 'day' }] }, 'budgets[0] must have requests, tokens or usd'],
  [
    { targets: [target], redis: { url: 'redis://:secret@host' } },
    /redis\.url must be 'redis:\/\/HOST:PORT', 'env:NAME' or 'file:PATH': a password must not stand in the configuration$/,
  ],
  [{ targets: [target], redis: { url: 'env:KEY' } }, 'redis.url: what it names must be a URL'],
  [
    { targets: [{ ...target, name: 'größe' }] },
    'targets[0].name must be a name of ASCII letters, digits and signs',
  ],
  [
    { targets: [target], routes: { 'a\nb': { virtual_key: 'first' } } },
    'the name of a route must be a name of ASCII letters',
  ],
  [
    { targets: [{ ...target, headers: { 'x y': '1' } }] },
    "targets[0]: headers['x y'] cannot be a header: it holds characters that no header may have",
  ],
  [{ targets: [{ ...target, headers: { 'x-a': 'a\nb' } }] }, "targets[0]: headers['x-a'] cannot be a header"],
  [
    { targets: [{ ...target, headers: { Host: 'x' } }] },
    "targets[0]: headers['Host']: this header is set by the gateway",
  ],
  [
    { targets: [{ ...target, apiKey: 'env:ODD' }] },
    /^targets\[0\]: what apiKey names cannot be a header: [\w ]+$/,
  ],
  [{ targets: [{ ...target, apiKey: 'env:BLANK' }] }, 'the environment variable BLANK is not set'],
  [{ targets: [target], port: 65_536 }, 'port must be a whole number from 0 to 65535, got 65536'],
  [
    { targets: [target], routes: { r: { strategy: 5, targets: [target] } } },
    'routes.r.strategy takes an object',
  ],
  [
    { targets: [target], routes: { r: { virtual_key: 'first', override_params: [] } } },
    'routes.r.override_params must be an object, got an array of 0',
  ],
  ['{', 'is no JSON'],
])('%j: %s', async (config, message) => {
  await expect(loadConfig(write(config), env)).rejects.toThrow(message)
})

test('a key from a file that others may read is refused', async () => {
  const key = write('sk-from-a-file\n', 'key')
  const file = write({ targets: [{ ...target, apiKey: 'file:key' }] })
  chmodSync(key, 0o644)
  await expect(loadConfig(file, {})).rejects.toThrow('targets[0].apiKey: others may read')
  chmodSync(key, 0o600)
  expect((await loadConfig(file, {})).targets[0]!.apiKey).toBe('sk-from-a-file')
})

test('in TypeScript', { timeout: 40_000 }, async () => {
  const file = write(
    `const targets = [${JSON.stringify(target)}] as const\nexport default { targets } satisfies object`,
    'llmiter.config.ts',
  )
  const program = startProgram(['gateway', '--check', '--config', file], env)
  expect(await program.ended, program.errors()).toBe(0)
  expect(program.output()).toBe('The configuration is valid: first.\n')
})

test('--check names the path and ends with 2; --schema is a schema', { timeout: 40_000 }, async () => {
  const wrong = startProgram(
    ['gateway', '--check', '--config', write({ targets: [{ ...target, wieght: 2 }] })],
    env,
  )
  expect(await wrong.ended).toBe(2)
  expect(wrong.errors()).toMatch(
    /^llmiter gateway: targets\[0\]\.wieght is not known \(did you mean 'weight'\?\)/,
  )
  const right = startProgram(['gateway', '--check', '--config', write({ targets: [target] })], env)
  expect(await right.ended).toBe(0)
  const schema = startProgram(['gateway', '--schema'])
  await schema.ended
  expect(JSON.parse(schema.output())).toMatchObject({
    type: 'object',
    properties: { targets: { type: 'array' } },
  })
})

test(
  'SIGHUP: other limits hold for those who wait already, and a faulty file changes nothing',
  { timeout: 40_000 },
  async () => {
    const baseUrl = `${rig.server.url}/v1`
    const of = (requestsPerMinute: number) => ({
      targets: [{ ...target, baseUrl, limits: { requestsPerMinute, burst: 1 } }],
    })
    const file = write(of(1))
    const program = startProgram(['gateway', '--port', '0', '--state', dir, '--config', file], env)
    const url = await program.url()
    await ask(url)
    const waiting = Array.from({ length: 5 }, () => ask(url))
    write('{')
    program.stop('SIGHUP')
    await vi.waitFor(() => expect(program.errors()).toContain('the configuration was not changed'))
    expect(rig.server.seen).toHaveLength(1)
    write(of(60_000))
    program.stop('SIGHUP')
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect((await ask(url)).status).toBe(200)
  },
)

test('another address than this machine needs keys', { timeout: 40_000 }, async () => {
  const file = write({ host: '0.0.0.0', port: 0, state: dir, targets: [target] })
  const open = startProgram(['gateway', '--config', file], env)
  expect(await open.ended).toBe(2)
  expect(open.errors()).toContain("host '0.0.0.0' can be reached from elsewhere, so programs need keys")
  new KeyRing(dir).add({ name: 'alice' })
  const keyed = startProgram(['gateway', '--config', file], env)
  expect((await ask((await keyed.url()).replace('0.0.0.0', '127.0.0.1'))).status).toBe(401)
})

test('the reference in the documentation is that of the schema', () => {
  expect(tableInPage()).toBe(configTable())
})
