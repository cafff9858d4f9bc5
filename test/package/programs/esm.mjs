import * as llmiter from 'llmiter'
import * as fetch from 'llmiter/fetch'
import * as testing from 'llmiter/testing'
import { calls } from './calls.mjs'
import { fetching } from './fetching.mjs'
import { serve } from './serve.mjs'

await calls(llmiter, testing)
await fetching(llmiter, fetch)
await serve(llmiter, testing)
console.log('ok')
