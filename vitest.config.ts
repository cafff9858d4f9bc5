import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { entries } from './tsup.config.ts'

const alias = entries.map(({ specifier, name }) => ({
  find: new RegExp(`^${specifier}$`),
  replacement: fileURLToPath(new URL(`./src/${name}.ts`, import.meta.url)),
}))

/** A script for Redis is imported as its text. */
const lua = {
  name: 'lua',
  transform: (code: string, id: string) =>
    id.endsWith('.lua') ? `export default ${JSON.stringify(code)}` : undefined,
}

const testsOf = (names: string[]) => names.map((name) => `test/${name}.test.ts`)

/** Twenty processes and a real Redis, or as many in virtual time: they need the machine for themselves. */
const FLEET = testsOf(['distributed/processes', 'distributed/fleet', 'cli/simulate-fleet'])

/** A real Redis that breaks in all ways, and servers: they mostly wait. */
const FAULTS = testsOf([
  'distributed/clients',
  'distributed/guard',
  'distributed/budgets',
  'distributed/trouble',
  'distributed/failover',
  'distributed/foreign',
  'distributed/handshake',
  'distributed/exit',
  'bottleneck/redis',
  'examples/api-server',
])

/** In real time, which takes minutes; `npm test` must not. */
const inRealTime = {
  testTimeout: 120_000,
  hookTimeout: 60_000,
  retry: 2, // a bad second of the machine is not one of the store
}

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { alias },
        plugins: [lua],
        test: {
          name: 'unit',
          // Most wait for servers and processes of their own: four keep two cores busy.
          maxWorkers: 4,
          // A worker keeps what it has loaded: two thirds of the processor time. No test may leave a trace.
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: ['test/package/**', 'test/site/**', ...FLEET, ...FAULTS],
          testTimeout: 60_000,
          retry: process.env.CI ? 2 : 0, // a bad second of the machine is not one of the limiter
        },
      },
      {
        resolve: { alias },
        plugins: [lua],
        test: {
          name: 'fleet',
          include: FLEET,
          ...inRealTime,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        resolve: { alias },
        plugins: [lua],
        test: {
          name: 'fleet-faults',
          include: FAULTS,
          ...inRealTime,
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
      // What people install: built, packed, and put into an empty folder. In CI it runs on every runtime.
      {
        test: {
          name: 'package',
          include: ['test/package/*.test.ts'],
          globalSetup: 'test/package/pack.ts',
          // Browsers, compilers and npm: each file waits for processes of its own.
          maxWorkers: 2,
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      // The documentation as a site, after `npm run site`.
      { test: { name: 'site', include: ['test/site/*.test.ts'], testTimeout: 120_000 } },
    ],
  },
})
