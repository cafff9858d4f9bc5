import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { entries } from './tsup.config.ts'

const alias = entries.map(({ specifier, name }) => ({
  find: new RegExp(`^${specifier}$`),
  replacement: fileURLToPath(new URL(`./src/${name}.ts`, import.meta.url)),
}))

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { alias },
        test: {
          name: 'unit',
          // Most wait for servers and processes of their own.
          maxWorkers: 3,
          include: ['test/**/*.test.ts'],
          exclude: ['test/package/**'],
          testTimeout: 20_000,
        },
      },
      // What people install: built, packed, and put into an empty folder. In CI it runs on every runtime.
      {
        test: {
          name: 'package',
          include: ['test/package/*.test.ts'],
          globalSetup: 'test/package/pack.ts',
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
