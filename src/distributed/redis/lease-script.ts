// The lease script for Redis: the version and the constants that both sides use, followed by the script.

// eslint-disable-next-line @typescript-eslint/triple-slash-reference -- a declaration of `*.lua` is no module
/// <reference path="./lua.d.ts" />
import { LAW, VERSION } from '../protocol.ts'
import lease from './lease.lua'

const constants = Object.entries(LAW).map(([name, value]) => `local ${name} = ${value}`)

export const LEASE_SCRIPT = [`local VERSION = ${VERSION}`, ...constants, lease].join('\n')
