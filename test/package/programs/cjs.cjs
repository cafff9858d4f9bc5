const llmiter = require('llmiter')
const fetch = require('llmiter/fetch')
const testing = require('llmiter/testing')

async function main() {
  const { calls } = await import('./calls.mjs')
  const { fetching } = await import('./fetching.mjs')
  const { serve } = await import('./serve.mjs')
  await calls(llmiter, testing)
  await fetching(llmiter, fetch)
  await serve(llmiter, testing)
  console.log('ok')
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
