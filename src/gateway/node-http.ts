// Loads Node's `http` and `https` without importing them. An import reads every export of a built-in module, which
// also loads Node's `fetch`. The gateway does not use it, and loading it takes longer than the rest of the
// startup.

import type * as Http from 'node:http'
import type * as Https from 'node:https'
import { createRequire } from 'node:module'
import type * as Zlib from 'node:zlib'

const load = createRequire(import.meta.url)

export const http = load('node:http') as typeof Http
export const https = load('node:https') as typeof Https
/** Needed when a provider compresses its answer although it was asked not to. */
export const zlib = (): typeof Zlib => load('node:zlib') as typeof Zlib
