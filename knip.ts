import type { KnipConfig } from 'knip'
import { entries } from './tsup.config.ts'

// What users import are the entries of package.json; all else that is exported must be imported somewhere.
export default {
  entry: [
    ...entries.map(({ name }) => `src/${name}.ts!`),
    'src/cli/llmiter.ts!',
    'src/{cli,gateway}/page/client.ts',
    // Benches load these by their address, in processes of their own.
    'bench/{overhead,inbound,gateway,bottleneck}/*.ts',
    'bench/**/worker.ts',
    'docs/*.ts',
    'examples/*.ts',
    'test/**/*.test.ts',
    'test/package/programs/*',
  ],
  project: ['{src,test,bench,docs,examples,scripts}/**/*.ts'],
  ignoreIssues: {
    // Fixtures are passed on as whole modules.
    'test/clients/fixtures/*.ts': ['exports'],
    // The test installs these SDKs beside the package.
    'test/package/programs/recipes.mjs': ['unlisted'],
  },
  // Installed by the tests that start them, or part of every system.
  ignoreBinaries: ['prometheus', 'promtool', 'redis-cli', 'redis-server', 'script'],
} satisfies KnipConfig
