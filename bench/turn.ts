/**
 * The process of one contestant: prepares its job, then runs it once per request and reports the cost. Started by
 * `interleave` of measure.ts with a module and the name of one of its jobs.
 */
import type { Jobs } from './measure.ts'

const [module, job] = process.argv.slice(2) as [string, string]
const [name, size = '0'] = job.split('@') as [string, string?]
const { jobs } = (await import(module)) as { jobs: Jobs }
const take = await jobs[name]!(Number(size))

process.on('message', async () => {
  process.send!(await take())
})
process.send!('ready')
