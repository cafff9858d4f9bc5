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
  // Fixtures are passed on as whole modules.
  ignoreIssues: { 'test/clients/fixtures/*.ts': ['exports'] },
  // Installed by the tests that start them, or part of every system.
  ignoreBinaries: ['redis-cli', 'redis-server', 'script'],
} satisfies KnipConfig
