// The status of the gateway, for people and for Prometheus. It contains no keys and no content of calls.

import { timingSafeEqual } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { LimiterStats } from 'llmiter'
import type { BudgetStats, TargetState } from 'llmiter/pool'
import type { GatewayCounts } from './counters.ts'
import { GatewayError } from './errors.ts'
import { sha256 } from './secrets.ts'

export interface GatewayTargetStatus {
  readonly name: string
  readonly protocol: string
  /** The states of the target, one per queue that contains it. */
  readonly states: readonly { readonly state: TargetState['state']; readonly until?: number }[]
  readonly limiters: readonly LimiterStats[]
}

/** The answer of `/-/status`. */
export interface GatewayStatus {
  /** Calls that wait for their first attempt. */
  readonly waiting: number
  /** Calls that wait or run. */
  readonly inHand: number
  readonly bytesInHand: number
  readonly draining: boolean
  readonly targets: readonly GatewayTargetStatus[]
  readonly budgets: readonly (BudgetStats & { readonly keyName?: string })[]
  readonly counts: GatewayCounts
}

interface Permission {
  /** Whether only programs on this machine can connect, and none of them needs a key. */
  readonly open: boolean
  readonly adminKey: string | undefined
  readonly given: string | undefined
}

function allowed({ open, adminKey, given }: Permission): boolean {
  if (open) return true
  return adminKey !== undefined && given !== undefined && timingSafeEqual(sha256(adminKey), sha256(given))
}

const PAGE_PATH = '/-/'
const FRESH = { 'cache-control': 'no-store' }

const VIEWS: Record<string, { type: string; of: (status: GatewayStatus) => string }> = {
  '/-/status': { type: 'application/json', of: (status) => JSON.stringify(status) },
  '/-/metrics': { type: 'text/plain; version=0.0.4; charset=utf-8', of: metricsOf },
}

/**
 * Answers a request below `/-/`. The page itself needs no key: it contains no data, and requests the data with the
 * admin key. Rejects with a GatewayError.
 */
export async function answerAdmin(
  path: string,
  permission: Permission,
  status: () => GatewayStatus,
  response: ServerResponse,
): Promise<void> {
  if (path === PAGE_PATH) {
    const { PAGE, PAGE_HEADERS } = await import('./page/page.ts')
    response.writeHead(200, { ...PAGE_HEADERS, 'content-type': 'text/html; charset=utf-8', ...FRESH })
    response.end(PAGE)
    return
  }
  const view = Object.hasOwn(VIEWS, path) ? VIEWS[path] : undefined
  if (!view)
    throw new GatewayError(
      404,
      'unknown_path',
      `there is no ${path.slice(0, 100)}; known: ${[PAGE_PATH, ...Object.keys(VIEWS)].join(', ')}`,
    )
  if (!allowed(permission)) {
    const hint = permission.adminKey === undefined ? ', and none is configured: set adminKey' : ''
    throw new GatewayError(401, 'admin_key_needed', `this needs the admin key${hint}`, { mayRetry: false })
  }
  response.writeHead(200, { 'content-type': view.type, ...FRESH })
  response.end(view.of(status()))
}

type Sample = readonly [labels: Record<string, string | number>, value: number]

const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

function metric(name: string, kind: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([labels, value]) => {
    const shown = Object.entries(labels).map(([label, text]) => `${label}="${escaped(String(text))}"`)
    return `llmiter_gateway_${name}${shown.length > 0 ? `{${shown.join()}}` : ''} ${value}`
  })
  return [
    `# HELP llmiter_gateway_${name} ${help}`,
    `# TYPE llmiter_gateway_${name} ${kind}`,
    ...lines,
    '',
  ].join('\n')
}

function metricsOf({ waiting, inHand, targets, budgets, counts }: GatewayStatus): string {
  const limiters = targets.flatMap(({ name, limiters }) => limiters.map((stats) => ({ target: name, stats })))
  return [
    metric('waiting', 'gauge', 'Calls that wait for their first attempt.', [[{}, waiting]]),
    metric('in_hand', 'gauge', 'Calls that wait or run.', [[{}, inHand]]),
    metric(
      'tries_total',
      'counter',
      'Attempts by target and status; 0 means no complete answer.',
      counts.tries.map(({ target, status, count }) => [{ target, status }, count]),
    ),
    metric(
      'refused_total',
      'counter',
      'Calls refused by the gateway itself.',
      Object.entries(counts.refused).map(([code, count]) => [{ code }, count]),
    ),
    metric(
      'tokens_total',
      'counter',
      'Tokens used.',
      counts.tokens.flatMap(({ target, input, output }): Sample[] => [
        [{ target, direction: 'input' }, input],
        [{ target, direction: 'output' }, output],
      ]),
    ),
    metric(
      'cost_usd_total',
      'counter',
      'Cost of the tokens used, as far as prices are known.',
      counts.tokens.map(({ target, usd }) => [{ target }, usd]),
    ),
    metric('cached_total', 'counter', 'Calls answered from the cache.', [[{}, counts.cached]]),
    metric('waited_seconds_total', 'counter', 'Total time that calls have waited.', [
      [{}, counts.waitedMs / 1000],
    ]),
    metric('took_seconds_total', 'counter', 'Total time that attempts have taken.', [
      [{}, counts.tookMs / 1000],
    ]),
    metric(
      'in_flight',
      'gauge',
      'Calls in flight by limiter.',
      limiters.map(({ target, stats }) => [{ target, limiter: stats.name }, stats.inFlight]),
    ),
    metric(
      'gate_open',
      'gauge',
      'Whether the provider accepts calls.',
      limiters.map(({ target, stats }) => [{ target, limiter: stats.name }, stats.gate === 'open' ? 1 : 0]),
    ),
    metric(
      'budget_used',
      'gauge',
      'Used and reserved amounts of budgets.',
      budgets.flatMap(({ name, key, keyName, amounts }) =>
        amounts.map(({ of, used, reserved }): Sample => [
          {
            budget: name,
            of,
            ...(key !== undefined && { of_key: key }),
            ...(keyName !== undefined && { key: keyName }),
          },
          used + reserved,
        ]),
      ),
    ),
  ].join('')
}
