// An option that is `undefined` counts as not given, both for the compiler (`exactOptionalPropertyTypes`) and at
// run time.

import { expect, expectTypeOf, test } from 'vitest'
import {
  BucketRateLimiter,
  type CallOptions,
  type LimiterOptions,
  type LimitOptions,
  perModel,
  type RampOptions,
  type RecoveryOptions,
  type RetryOptions,
  type ServiceOptions,
  withLimiter,
  type WrapOptions,
} from 'llmiter'
import { type BatchOptions, runAll } from 'llmiter/batch'
import { type ClientOptions, limitFetch } from 'llmiter/fetch'
import { latencyHealth, type LatencyHealthOptions } from 'llmiter/health'
import type { GuardOptions } from 'llmiter/inbound'
import type { LogOptions } from 'llmiter/log'
import type { RedisStoreOptions } from 'llmiter/redis'
import { CALL_KEYS } from '../../src/call/call-options.ts'
import { LIMITER_KEYS } from '../../src/limiter/options.ts'
import { KEYS as BATCH_KEYS } from '../../src/batch/options.ts'
import { rig, steadyClock } from '../helpers.ts'

const undefinedOf = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, undefined]))

/** Makes every optional property `undefined`. */
type AllUndefined<T> = { [K in keyof T as object extends Pick<T, K> ? K : never]: undefined }

test('for the compiler', () => {
  expectTypeOf<AllUndefined<LimiterOptions>>().toExtend<LimiterOptions>()
  expectTypeOf<AllUndefined<CallOptions>>().toExtend<CallOptions>()
  expectTypeOf<AllUndefined<RetryOptions>>().toExtend<RetryOptions>()
  expectTypeOf<AllUndefined<RampOptions>>().toExtend<RampOptions>()
  expectTypeOf<AllUndefined<RecoveryOptions>>().toExtend<RecoveryOptions>()
  expectTypeOf<AllUndefined<LimitOptions>>().toExtend<Partial<LimitOptions>>()
  expectTypeOf<AllUndefined<ServiceOptions>>().toExtend<ServiceOptions>()
  expectTypeOf<AllUndefined<ClientOptions>>().toExtend<ClientOptions>()
  expectTypeOf<AllUndefined<LogOptions>>().toExtend<LogOptions>()
  expectTypeOf<AllUndefined<RedisStoreOptions>>().toExtend<RedisStoreOptions>()
  expectTypeOf<AllUndefined<GuardOptions>>().toExtend<Partial<GuardOptions>>()
  expectTypeOf<AllUndefined<BatchOptions<number>>>().toExtend<BatchOptions<number>>()
  expectTypeOf<AllUndefined<LatencyHealthOptions>>().toExtend<LatencyHealthOptions>()
  expectTypeOf<AllUndefined<WrapOptions<[], 1>>>().toExtend<WrapOptions<[], 1>>()
  const env: string | undefined = process.env['LLMITER_NO_SUCH_VARIABLE']
  new BucketRateLimiter({ requestsPerMinute: 60, maxConcurrent: env ? Number(env) : undefined })
})

test('when it runs: of a limiter, a call, a wrapped function', async () => {
  const clock = steadyClock()
  const limiter = new BucketRateLimiter({ ...undefinedOf(LIMITER_KEYS), requestsPerMinute: 60, clock })
  const plain = new BucketRateLimiter({ requestsPerMinute: 60, clock })
  const shape = ({ name: _, ...stats }: ReturnType<BucketRateLimiter['stats']>) => stats
  expect(shape(limiter.stats())).toEqual(shape(plain.stats()))
  expect(await limiter.run(() => 'run', undefinedOf(CALL_KEYS))).toBe('run')
  const options = {
    streamIdleMs: undefined,
    model: undefined,
    usage: undefined,
    classify: undefined,
    retry: undefined,
  }
  expect(await withLimiter(() => 'wrapped', limiter, options)()).toBe('wrapped')
  const nested = {
    ...{ queue: { max: undefined, onFull: undefined }, ramp: { ms: undefined, from: undefined } },
    ...{ recovery: { minMs: undefined, maxMs: undefined }, retry: { attempts: undefined, on: undefined } },
    limits: [
      {
        of: 'requests',
        amount: 60,
        per: '1m' as const,
        window: undefined,
        burst: undefined,
        pace: undefined,
      },
    ],
  }
  expect(shape(new BucketRateLimiter({ ...nested, clock }).stats())).toEqual(shape(plain.stats()))
})

test('when it runs: by update an option is as if it had not been given', async () => {
  const { limiter } = rig({ requestsPerMinute: 60, maxConcurrent: 1, maxWaitMs: 0 })
  limiter.update({ ...undefinedOf(LIMITER_KEYS), requestsPerMinute: 600 })
  expect(limiter.stats()).toMatchObject({ name: 'test', limits: [{ amount: 600 }] })
  const both = await Promise.all([limiter.acquire(), limiter.acquire()])
  expect(limiter.stats().inFlight).toBe(2)
  for (const ticket of both) ticket.finish()
})

test('when it runs: of a service, a client, a job, of health', async () => {
  const models = perModel(
    { 'gpt-5': { requestsPerMinute: 60, ...undefinedOf(['name', 'parent', 'burst']) } },
    { name: undefined, parent: undefined, isBlocked: undefined },
  )
  expect(models.limiterFor('gpt-5').name).toBe('gpt-5')
  const names = ['countTokens', 'tenant', 'priority', 'maxWaitMs', 'otherCalls', 'countEmbeddings']
  const answers: typeof fetch = async () => new Response('{}')
  const limited = limitFetch(answers, { requestsPerMinute: 60 }, undefinedOf(names))
  const often = limited.withLimiterOptions({ maxWaitMs: 0 }).withLimiterOptions({ maxWaitMs: undefined })
  expect((await often('https://api.example.com/v1/chat', { method: 'POST', body: '{}' })).status).toBe(200)
  expect((await runAll.toArray([1], (n) => n, undefinedOf(BATCH_KEYS)))[0]).toMatchObject({
    ok: true,
    value: 1,
  })
  expect(latencyHealth({ ttftMs: '1s', itlMs: undefined, timeConstantMs: undefined })).toHaveProperty('open')
})
