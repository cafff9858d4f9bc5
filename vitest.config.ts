import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { entries } from './tsup.config.ts'

const alias = entries.map(({ specifier, name }) => ({
  find: new RegExp(`^${specifier}$`),
  replacement: fileURLToPath(new URL(`./src/${name}.ts`, import.meta.url)),
}))

/** Imports a Redis script as its text. */
const lua = {
  name: 'lua',
  transform: (code: string, id: string) =>
    id.endsWith('.lua') ? `export default ${JSON.stringify(code)}` : undefined,
}

const testsOf = (names: string[]) => names.map((name) => `test/${name}.test.ts`)

/** Twenty processes with a real Redis, or as many in virtual time. They need the machine for themselves. */
const FLEET = testsOf(['distributed/processes', 'distributed/fleet', 'cli/simulate-fleet'])

/** Failures of a real Redis, and servers. They mostly wait. */
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

/** Tests in real time take minutes, and are not part of `npm test`. */
const inRealTime = {
  testTimeout: 120_000,
  hookTimeout: 60_000,
  retry: 2, // a slow second of the machine is not a failure of the store
}

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { alias },
        plugins: [lua],
        test: {
          name: 'unit',
          // Most tests wait for their own servers and processes, so four workers keep two cores busy.
          maxWorkers: 4,
          // Workers keep loaded modules, which saves two thirds of the CPU time. So tests must clean up after themselves.
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: ['test/package/**', 'test/site/**', ...FLEET, ...FAULTS],
          testTimeout: 60_000,
          retry: process.env.CI ? 2 : 0, // a slow second of the machine is not a failure of the limiter
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
      // The installed package: built, packed, and installed into an empty folder. In CI it runs on every runtime.
      {
        test: {
          name: 'package',
          include: ['test/package/*.test.ts'],
          globalSetup: 'test/package/pack.ts',
          // Browsers, compilers and npm: each file waits for its own processes.
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
