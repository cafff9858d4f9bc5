/**
 * Measures the overhead of llmiter, compared with alternative packages: time and memory per call, growth with the
 * queue length, bundle size, timers. `npm run bench:overhead`. Figures are comparable only within one run, so all
 * contestants take turns in it (see measure.ts).
 *
 *   --quick        smaller numbers: for a quick check, not for publication
 *   --only a,d     only some sections
 *   --json FILE    the measurements, for other programs
 */
import { parseArgs } from 'node:util'
import { bundleSection } from './overhead/bundle.ts'
import { callsSection } from './overhead/calls.ts'
import { coreSection } from './overhead/core.ts'
import { makespanSection } from './overhead/makespan.ts'
import { memorySection } from './overhead/memory.ts'
import { poolSection } from './overhead/pool.ts'
import { scalingSection } from './overhead/scaling.ts'
import { timersSection } from './overhead/timers.ts'
import { exitCodeOf, isMet, printSection, type Section, writeJson } from './table.ts'

const FULL = { calls: 100_000, rounds: 9, waiting: 1_000_000, sizes: [1e3, 1e4, 1e5, 1e6] }
const QUICK = { calls: 20_000, rounds: 5, waiting: 100_000, sizes: [1e3, 1e4, 1e5] }

const { quick, only, json } = readFlags()
const { calls, rounds, waiting, sizes } = quick ? QUICK : FULL

const all: Record<string, () => Promise<Section>> = {
  // With c, because the case with all features takes turns with the plain one.
  a: () => callsSection(calls, rounds),
  b: () => coreSection(calls, rounds),
  d: () => memorySection(waiting),
  e: () => scalingSection(sizes, 5),
  f: bundleSection,
  g: () => timersSection(1000),
  h: () => poolSection(calls, rounds),
  i: makespanSection,
}

const sections: Section[] = []
for (const letter of lettersOf(only)) {
  const section = await all[letter]!()
  printSection(section)
  sections.push(section)
}
const goals = sections.flatMap((section) => section.goals)
console.log(`\n${goals.filter(isMet).length} of ${goals.length} goals met (Node ${process.version})`)
if (json !== undefined) writeJson(json, { quick, calls, rounds, waiting, sizes }, sections)
// Calls that still wait keep the process alive, as they should.
process.exit(exitCodeOf(goals))

function readFlags() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        json: { type: 'string' },
      },
    })
    return values
  } catch (error) {
    return fail((error as Error).message)
  }
}

function lettersOf(list = Object.keys(all).join()): string[] {
  const letters = list.split(',').map((letter) => (letter === 'c' ? 'a' : letter))
  const unknown = letters.find((letter) => !(letter in all))
  if (unknown !== undefined) fail(`--only takes letters of ${Object.keys(all).join(', ')}; got '${unknown}'`)
  return [...new Set(letters)]
}

function fail(message: string): never {
  console.error(
    `bench:overhead: ${message}\nusage: node --expose-gc bench/overhead.ts [--quick] [--only a,d] [--json FILE]`,
  )
  process.exit(2)
}
