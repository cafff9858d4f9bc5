import type { KnipConfig } from 'knip'
import { entries } from './tsup.config.ts'

// Users import the entries of package.json. All other exports must be imported somewhere.
export default {
  entry: [
    ...entries.map(({ name }) => `src/${name}.ts!`),
    'src/cli/llmiter.ts!',
    'src/{cli,gateway}/page/client.ts',
    // Benches load these by URL, in separate processes.
    'bench/{overhead,inbound,gateway,bottleneck}/*.ts',
    'bench/**/worker.ts',
    'docs/*.ts',
    'examples/*.ts',
    'test/**/*.test.ts',
    'test/package/programs/*',
  ],
  project: ['{src,test,bench,docs,examples,scripts}/**/*.ts'],
  ignoreIssues: {
    // Fixtures are passed as whole modules.
    'test/clients/fixtures/*.ts': ['exports'],
    // The test installs these SDKs next to the package.
    'test/package/programs/recipes.mjs': ['unlisted'],
  },
  // Installed by the tests that start them, or part of every system.
  ignoreBinaries: ['prometheus', 'promtool', 'redis-cli', 'redis-server', 'script'],
} satisfies KnipConfig
