import * as llmiter from 'llmiter'
import * as fetch from 'llmiter/fetch'
import * as testing from 'llmiter/testing'
import { calls } from './calls.mjs'
import { fetching } from './fetching.mjs'

const all = async () => {
  await fetching(llmiter, fetch)
  return calls(llmiter, testing)
}

all().then(
  (took) => (document.title = `ok, ${took}`),
  (error) => (document.title = `failed: ${error.stack}`),
)
