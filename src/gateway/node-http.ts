// Node's `http` and `https`, without what else hangs on them: an import reads every name that a built-in module exports,
// and so loads Node's `fetch`, which the gateway does not use. That takes longer than all the rest of its start.

import type * as Http from 'node:http'
import type * as Https from 'node:https'
import { createRequire } from 'node:module'
import type * as Zlib from 'node:zlib'

const load = createRequire(import.meta.url)

export const http = load('node:http') as typeof Http
export const https = load('node:https') as typeof Https
/** Wanted when a provider compresses its answer although it was asked not to. */
export const zlib = (): typeof Zlib => load('node:zlib') as typeof Zlib
