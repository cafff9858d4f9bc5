import { defineConfig } from 'tsup'

export default defineConfig({
  entry: { index: 'src/index.ts', 'testing/index': 'src/testing/index.ts' },
  format: ['esm', 'cjs'],
  target: 'node20',
  platform: 'neutral',
  dts: true,
  clean: true,
  splitting: false,
  sourcemap: true,
  external: [/^node:/],
  // Without the prefix bundlers for browsers and workers do not know Node's own modules.
  removeNodeProtocol: false,
})
