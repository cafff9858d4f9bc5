import * as llmiter from 'llmiter'
import * as testing from 'llmiter/testing'
import { calls } from './calls.mjs'

calls(llmiter, testing).then(
  (took) => (document.title = `ok, ${took}`),
  (error) => (document.title = `failed: ${error.stack}`),
)
