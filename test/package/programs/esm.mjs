import * as llmiter from 'llmiter'
import * as testing from 'llmiter/testing'
import { calls } from './calls.mjs'
import { serve } from './serve.mjs'

await calls(llmiter, testing)
await serve(llmiter, testing)
console.log('ok')
