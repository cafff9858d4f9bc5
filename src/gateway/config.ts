// Loads the configuration file. It is checked completely before any of it is used.

import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BudgetOptions, Prices } from 'llmiter/pool'
import { parseBudgets } from '../pool/budgets.ts'
import { text } from '../lib/validate.ts'
import { checkBySchema } from './check-schema.ts'
import { CONFIG_SCHEMA, NAME } from './config-schema.ts'
import { targetsFromEnv } from './from-env.ts'
import type { GatewayOptions, GatewayTarget, TargetLimits } from './options.ts'
import { compileRoute } from './portkey.ts'
import { Target } from './target.ts'

/** The configuration as written in the file. */
type ConfigFile = Omit<GatewayOptions, 'targets' | 'budgets' | 'prices'> & {
  readonly $schema?: string
  readonly targets?: readonly GatewayTarget[]
  readonly budgets?: readonly BudgetOptions[]
  readonly prices?: Prices
}

const NAMES = ['llmiter.config.json', 'llmiter.config.ts', 'llmiter.config.js', 'llmiter.config.mjs']

/** The file used if none is given. */
export const findConfig = (dir: string): string | undefined =>
  NAMES.map((name) => resolve(dir, name)).find((file) => existsSync(file))

/**
 * Loads and checks a configuration. Without a file, reads it from the environment alone.
 *
 * @throws TypeError that names the path of a fault.
 */
export async function loadConfig(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  limits: TargetLimits = {},
): Promise<GatewayOptions> {
  const config = file === undefined ? {} : await readConfig(file)
  checkBySchema(config, CONFIG_SCHEMA, '')
  const { targets: said, adminKey, redis, ...rest } = config as ConfigFile
  // Used only by editors.
  delete (rest as { $schema?: string }).$schema
  const dir = file === undefined ? '.' : dirname(file)
  const secret = (value: string, path: string) => secretOf(value, path, env, dir)
  const targets = said
    ? said.map((one, i) => ({ ...one, apiKey: secret(one.apiKey!, `targets[${i}].apiKey`) }))
    : targetsFromEnv(env, limits)
  checkTargets(targets)
  checkBudgets(rest.budgets)
  const byName = new Map(targets.map((one) => [one.name, new Target(one, () => {})]))
  for (const [name, route] of Object.entries(rest.routes ?? {})) {
    checkBySchema(name, { type: 'string', pattern: NAME }, 'the name of a route')
    compileRoute(route, byName, `routes.${name}`, false)
  }
  return {
    ...rest,
    targets,
    ...(redis && { redis: { ...redis, url: redisUrl(secret(redis.url, 'redis.url')) } }),
    ...(adminKey !== undefined && { adminKey: secret(adminKey, 'adminKey') }),
  }
}

async function readConfig(file: string): Promise<unknown> {
  if (!existsSync(file)) throw new TypeError(`there is no file ${file}`)
  if (file.endsWith('.json')) return parseJson(readFileSync(file, 'utf8'), file)
  try {
    // The age of the file is part of the URL, so that a reload imports it again.
    const module = (await import(`${pathToFileURL(resolve(file)).href}?${statSync(file).mtimeMs}`)) as {
      default?: unknown
    }
    return module.default
  } catch (error) {
    throw new TypeError(
      `${file} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
}

function parseJson(written: string, file: string): unknown {
  try {
    return JSON.parse(written)
  } catch (error) {
    throw new TypeError(`${file} is no JSON: ${(error as Error).message}`, { cause: error })
  }
}

function redisUrl(url: string): string {
  // It may contain a password, so it is not shown.
  if (!/^rediss?:\/\/./.test(url))
    throw new TypeError('redis.url: what it names must be a URL that begins with redis:// or rediss://')
  return url
}

function secretOf(
  value: string,
  path: string,
  env: Readonly<Record<string, string | undefined>>,
  dir: string,
): string {
  if (!/^(env|file):/.test(value)) return value
  const name = value.slice(value.indexOf(':') + 1)
  if (value.startsWith('env:')) {
    const found = env[name]
    if (!found?.trim()) throw new TypeError(`${path}: the environment variable ${name} is not set`)
    return found.trim()
  }
  const file = resolve(dir, name)
  if (!existsSync(file)) throw new TypeError(`${path}: there is no file ${file}`)
  if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0)
    throw new TypeError(`${path}: others may read ${file}; chmod 600 it`)
  return readFileSync(file, 'utf8').trim()
}

function checkTargets(targets: readonly GatewayTarget[]): void {
  for (const [i, { name }] of targets.entries()) {
    if (targets.findIndex((other) => other.name === name) < i)
      throw new TypeError(`targets[${i}].name must be unique, ${text(name)} occurs twice`)
    try {
      // Creating the target checks its limits.
      const target = new Target(targets[i]!, () => {})
      for (const model of [undefined, ...Object.keys(targets[i]!.models ?? {})]) target.limiterFor(model)
    } catch (error) {
      throw new TypeError(`targets[${i}]: ${(error as Error).message}`, { cause: error })
    }
  }
}

function checkBudgets(budgets: readonly BudgetOptions[] | undefined): void {
  try {
    parseBudgets(budgets)
  } catch (error) {
    throw new TypeError((error as Error).message.replaceAll('budget[', 'budgets['), { cause: error })
  }
}
